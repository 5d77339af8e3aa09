#!/bin/sh
# The admission hook's certificate where there is no cert-manager: makes an authority that signs one certificate and is
# thrown away, keeps both in the Secret edge-ipam-webhook-tls, and tells the kube-apiserver the authority. Run it after
# `kubectl apply -k`, and again before the certificate ends; while Pods still show the old one, that is believed, too.
#
#   sh deploy/webhook-certificate.sh [days]
#
# Needs openssl 1.1.1 or newer, and a kubectl that may write Secrets and MutatingWebhookConfigurations.
set -eu

days=${1:-825}
namespace=edge-ipam
host=edge-ipam-webhook.$namespace.svc

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

new_key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
# shellcheck disable=SC2086
openssl req -x509 $new_key -days "$days" -subj '/CN=edge-ipam webhook authority' -keyout ca.key -out ca.crt 2>/dev/null
# shellcheck disable=SC2086
openssl req $new_key -subj "/CN=$host" -keyout tls.key -out tls.csr 2>/dev/null
printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n' "$host" >extensions
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile extensions -out tls.crt 2>/dev/null

believed() {
  kubectl get mutatingwebhookconfiguration edge-ipam -o 'jsonpath={.webhooks[0].clientConfig.caBundle}'
}
# The one before, and no older ones.
believed | base64 -d | sed '/END CERTIFICATE/q' >old.crt
bundle=$(cat ca.crt old.crt | base64 | tr -d '\n')

patch=
for hook in 0 1; do
  patch="$patch${patch:+,}{\"op\":\"add\",\"path\":\"/webhooks/$hook/clientConfig/caBundle\",\"value\":\"$bundle\"}"
done
kubectl patch mutatingwebhookconfiguration edge-ipam --type=json --patch "[$patch]"
kubectl create secret tls edge-ipam-webhook-tls --namespace "$namespace" --cert tls.crt --key tls.key \
  --dry-run=client --output yaml | kubectl apply --filename -
