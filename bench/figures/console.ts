import { contest } from '../contest.js'
import { bare } from '../contestants/bare.js'
import { browsing, nodesAt, pages } from '../contestants/browsing.js'
import { service } from '../contestants/service.js'
import { crowd, crowded } from '../databases.js'

/** A million nodes; with --quick a sixteenth of them. */
const amongMany = { database: crowded }
const found = `/northbound/v1/nodes?limit=${crowd.nodesPerDisplayIp}&search=192.168.1.10`

export const console = contest({
  name: 'console',
  contestants: {
    'bare page': bare('get', 64, ['/northbound/v1/nodes?limit=100']),
    page: service(browsing(pages), 64, amongMany),
    'bare find': bare('get', 64, [found]),
    find: service(browsing(nodesAt('displayIp')), 64, amongMany),
    search: service(browsing(nodesAt('search')), 64, amongMany),
  },
  figures: [
    {
      name: 'page',
      title: 'northbound page of 100 among 1M nodes, 64 connections, against a bare GET of as many',
      ours: 'page',
      against: 'bare page',
      long: 'as find',
    },
    {
      name: 'find',
      title: 'northbound filter by display IP, which 20 of 1M nodes have, against a bare GET of as many',
      ours: 'find',
      against: 'bare find',
    },
    {
      name: 'search',
      title: 'northbound search for a display IP, which looks for parts, against a bare GET of as many',
      ours: 'search',
      against: 'bare find',
      long: 'as find',
    },
  ],
})
