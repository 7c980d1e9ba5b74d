import { expect, test } from 'vitest'
import type { ResourceView } from '../api/types'
import { rows } from './forest'

const one = (kind: string, name: string, parent = ''): ResourceView => ({
  group: '',
  version: 'v1',
  kind,
  namespace: 'petclinic',
  name,
  sync: 'synced',
  health: '',
  message: '',
  parent,
  owned: [],
  desired: '',
  live: '',
})
const all = [
  one('Service', 'web'),
  one('Deployment', 'web'),
  one('Pod', 'web-1', 'ReplicaSet/web-5'),
  one('ReplicaSet', 'web-5', 'Deployment/web'),
]
const names = (found: ReturnType<typeof rows>) =>
  found.map(({ resource, depth }) => `${depth} ${resource.kind}/${resource.name}`)

test('children stand beneath their owner', () => {
  expect(names(rows(all, () => true, new Set()))).toEqual([
    '0 Service/web',
    '0 Deployment/web',
    '1 ReplicaSet/web-5',
    '2 Pod/web-1',
  ])
})

test('a filter keeps the owners of what it keeps', () => {
  expect(names(rows(all, (resource) => resource.kind === 'Pod', new Set()))).toEqual([
    '0 Deployment/web',
    '1 ReplicaSet/web-5',
    '2 Pod/web-1',
  ])
})

test('a closed branch hides what is beneath it', () => {
  expect(names(rows(all, () => true, new Set(['Deployment/petclinic/web'])))).toEqual([
    '0 Service/web',
    '0 Deployment/web',
  ])
})

test('an owner that is missing does not hide its children, and a wheel of owners ends', () => {
  expect(names(rows([one('Pod', 'a', 'ReplicaSet/gone')], () => true, new Set()))).toEqual(['0 Pod/a'])
  expect(rows([one('Pod', 'a', 'Pod/b'), one('Pod', 'b', 'Pod/a')], () => true, new Set())).toEqual([])
})
