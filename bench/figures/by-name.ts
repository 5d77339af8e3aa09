import { contest } from '../contest.js'
import { asking } from '../contestants/asking.js'
import { bare } from '../contestants/bare.js'
import { releasing } from '../contestants/releasing.js'
import { service } from '../contestants/service.js'

export const lookup = contest({
  name: 'lookup',
  contestants: { bare: bare('lookup', 64), service: service(asking('lookup'), 64) },
  figures: [
    {
      name: 'lookup',
      title: 'unique IP by name, 64 connections, against a bare GET',
      ours: 'service',
      against: 'bare',
      goal: { atLeast: 0.7 },
    },
  ],
})

export const registration = contest({
  name: 'registration',
  long: 'as lookup',
  contestants: { bare: bare('registration', 64), service: service(asking('registration', { registered: true }), 64) },
  figures: [
    {
      name: 'registration',
      title: 'registration with nothing changed, 64 connections, against a bare POST',
      ours: 'service',
      against: 'bare',
      goal: { atLeast: 0.7 },
    },
  ],
})

/** Thousands come back at once, after a power cut, and ask for what they hold. */
export const again = contest({
  name: 'again',
  long: 'as lookup',
  contestants: { bare: bare('allocate', 64), service: service(asking('allocate'), 64) },
  figures: [
    {
      name: 'again',
      title: 'allocate for nodes that hold an address, 64 connections, against a bare POST',
      ours: 'service',
      against: 'bare',
    },
  ],
})

export const release = contest({
  name: 'release',
  long: 'allocates first what each round releases',
  contestants: { bare: bare('release', 64), service: service(releasing, 64) },
  figures: [
    {
      name: 'release',
      title: 'release, 64 connections, against a bare DELETE',
      ours: 'service',
      against: 'bare',
    },
  ],
})
