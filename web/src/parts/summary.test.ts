import { expect, test } from 'vitest'
import type { HomeCounts } from '../api/types'
import { isBad, needsPerson } from './summary'

const none: HomeCounts = {
  aborted: 0,
  approvals: 0,
  blocked: 0,
  degraded: 0,
  deliveries_waiting: 0,
  differing: 0,
  failed_runs: 0,
  plugins_refused: 0,
  unreadable: 0,
  unserved: 0,
  warnings: 0,
}

test('nothing needs a person where nothing is counted', () => {
  expect(needsPerson(none)).toEqual([])
  expect(isBad(none)).toBe(false)
})

test('no kind of failure is left out', () => {
  const kinds = Object.keys(none).filter((kind) => kind !== 'differing') as (keyof HomeCounts)[]
  for (const kind of kinds) expect(needsPerson({ ...none, [kind]: 1 }), kind).toHaveLength(1)
  expect(needsPerson({ ...none, failed_runs: 10, approvals: 2 })).toEqual([
    '10 pipelines fail',
    '2 runs wait for approval',
  ])
  expect(isBad({ ...none, failed_runs: 1 })).toBe(true)
  expect(isBad({ ...none, approvals: 1 })).toBe(false)
})
