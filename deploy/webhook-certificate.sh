#!/bin/sh
# The admission hook's certificate where there is no cert-manager: makes an authority that signs one certificate and is
# thrown away, keeps both in the Secret edge-ipam-webhook-tls, and tells the kube-apiserver the authority. Run it after
# `kubectl apply -k`, and again before the certificate ends; while Pods still show the old one, that is believed, too.
#
#   sh deploy/webhook-certificate.sh [days]
#
# Needs openssl 1.1.1 or newer, and a kubectl that may write Secrets and MutatingWebhookConfigurations.
set -eu

namespace=edge-ipam
host=edge-ipam-webhook.$namespace.svc

usage() {
  cat <<EOF
Usage: sh deploy/webhook-certificate.sh [days]

Makes the admission hook's certificate, for $host, good for so many days (825 if it is not said).
Writes the Secret edge-ipam-webhook-tls, and the authority into the MutatingWebhookConfiguration edge-ipam. Run it after
\`kubectl apply -k\`, and again before the certificate ends. Needs openssl and kubectl.
EOF
}

# $1 is the exit code: 1 failed, 2 wrong usage
fail() {
  printf 'webhook-certificate.sh: %s\n' "$2" >&2
  exit "$1"
}

case ${1-} in
-h | --help)
  usage
  exit
  ;;
esac
[ $# -le 1 ] || fail 2 'takes the number of days and nothing else; -h tells more'
days=${1-825}
case $days in
'' | 0* | *[!0-9]* | ??????*) fail 2 "days has to be a whole number from 1 to 99999, not '$days'; -h tells more" ;;
esac

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What openssl says is of interest when it fails.
quietly() {
  "$@" 2>"$work/said" || {
    cat "$work/said" >&2
    fail 1 'openssl could not make the certificate; nothing was changed'
  }
}

# Before anything is made: where kubectl fails, it says why.
configured=$(kubectl get mutatingwebhookconfiguration edge-ipam --ignore-not-found --output name)
[ -n "$configured" ] || fail 1 'there is no MutatingWebhookConfiguration edge-ipam in the cluster: kubectl apply -k … first'

new_key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
# shellcheck disable=SC2086
quietly openssl req -x509 $new_key -days "$days" -subj '/CN=edge-ipam webhook authority' \
  -keyout "$work/ca.key" -out "$work/ca.crt"
# shellcheck disable=SC2086
quietly openssl req $new_key -subj "/CN=$host" -keyout "$work/tls.key" -out "$work/tls.csr"
printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n' "$host" >"$work/extensions"
quietly openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days "$days" \
  -extfile "$work/extensions" -out "$work/tls.crt"

believed=$(kubectl get mutatingwebhookconfiguration edge-ipam --output 'jsonpath={.webhooks[0].clientConfig.caBundle}')
# The one before, and no older ones.
printf %s "$believed" | base64 -d | sed '/END CERTIFICATE/q' >"$work/old.crt"
bundle=$(cat "$work/ca.crt" "$work/old.crt" | base64 | tr -d '\n')

patch=
for hook in 0 1; do
  patch="$patch${patch:+,}{\"op\":\"add\",\"path\":\"/webhooks/$hook/clientConfig/caBundle\",\"value\":\"$bundle\"}"
done
kubectl patch mutatingwebhookconfiguration edge-ipam --type=json --patch "[$patch]"
kubectl create secret tls edge-ipam-webhook-tls --namespace "$namespace" --cert "$work/tls.crt" --key "$work/tls.key" \
  --dry-run=client --output yaml | kubectl apply --filename -
