import { expect, test } from 'vitest'
import type { WeightView } from '../api/types'
import { drawn } from './weights'

const point = (at_ms: number, asked: number, served: number | null = asked): WeightView => ({ at_ms, asked, served })

test('one weight is drawn up to now', () => {
  expect(drawn([point(1000, 10)], 5000, 'Progressing')).toEqual({ at: [1, 5], asked: [10, 10], served: [10, 10] })
  expect(drawn([], 5000, 'Healthy').at).toEqual([])
})

test('a promotion ends at the top', () => {
  const { at, asked, served } = drawn([point(1000, 50), point(2000, 100), point(3000, 0)], 9000, 'Healthy')
  expect(at).toEqual([1, 2, 2.999, 3, 9])
  expect(asked).toEqual([50, 100, 100, null, null])
  expect(served).toEqual([50, 100, 100, null, null])
})

test('an abort falls, from the top as well', () => {
  expect(drawn([point(1000, 50), point(2000, 0)], 3000, 'Degraded').asked).toEqual([50, 0, 0])
  expect(drawn([point(1000, 100), point(2000, 0)], 3000, 'Degraded').asked).toEqual([100, 0, 0])
})

test('the next canary begins after a promotion', () => {
  const { asked } = drawn([point(1000, 100), point(2000, 0), point(3000, 10)], 4000, 'Progressing')
  expect(asked).toEqual([100, 100, null, 10, 10])
})

test('a share that was not verified then is drawn to the moment before', () => {
  const { at, served } = drawn([point(1000, 10), point(2000, 25, null)], 3000, 'Progressing')
  expect(at).toEqual([1, 1.999, 2, 3])
  expect(served).toEqual([10, 10, null, null])
})
