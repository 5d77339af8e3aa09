import { contest } from '../contest.js'
import { bare } from '../contestants/bare.js'
import { reviewing, reviewOf } from '../contestants/reviewing.js'
import { service } from '../contestants/service.js'

export const hook = contest({
  name: 'hook',
  contestants: {
    bare: bare('review', 64, [reviewOf('edge-r00-00000000', '10.0.0.1')]),
    service: service(reviewing, 64, { hook: true }),
  },
  figures: [
    {
      name: 'hook',
      title: 'review of a known node by HTTPS, 64 connections, against a bare HTTPS POST of as much',
      ours: 'service',
      against: 'bare',
      goal: { atLeast: 0.6 },
    },
  ],
})
