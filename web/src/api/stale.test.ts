import { expect, test } from 'vitest'
import { staleKeys } from './stale'

test('a run makes itself, the list and Home stale', () => {
  expect(staleKeys(['run/user/petclinic/was/56', 'image/user/petclinic/was/56/image'])).toEqual([
    ['home'],
    ['plugins'],
    ['runs'],
    ['run', 'user/petclinic/was/56'],
  ])
})

test('a rollout makes every run stale that may wait for it', () => {
  expect(staleKeys(['rollout/prod/petclinic/was'])).toContainEqual(['run'])
})

test('a delivery shows on Home and in their list', () => {
  expect(staleKeys(['delivery/default/1'])).toEqual([['home'], ['deliveries']])
})
