import type { WeightView } from '../api/types'

/** The points of the chart: times in seconds, and what was asked and served then; `null` draws nothing. */
export interface Drawn {
  at: number[]
  asked: (number | null)[]
  served: (number | null)[]
}

/**
 * What is drawn of a rollout's weights up to `now`.
 *
 * A promotion asks nothing of the canary any more, since it is the stable version from then on: its line ends at the
 * top, and does not fall as it does after an abort.
 */
export function drawn(weights: WeightView[], now: number, phase: string): Drawn {
  const last = weights.at(-1)
  // What was last known still holds now.
  const known = last === undefined || last.at_ms >= now ? weights : [...weights, { ...last, at_ms: now }]
  const promotions = new Set<number>()
  weights.forEach((point, at) => {
    const wentBack = at === weights.length - 1 && phase === 'Degraded'
    if (point.asked === 0 && weights[at - 1]?.asked === 100 && !wentBack) promotions.add(at)
  })
  const result: Drawn = { at: [], asked: [], served: [] }
  const add = (at_ms: number, asked: number | null, served: number | null) => {
    result.at.push(at_ms / 1000)
    result.asked.push(asked)
    result.served.push(served)
  }
  known.forEach((point, at) => {
    const before = known[at - 1]
    // A share holds until the next moment, also where nothing was verified then.
    if (before?.served != null && point.served === null) add(point.at_ms - 1, before.asked, before.served)
    const isOver = promotions.has(at) || (at === weights.length && promotions.has(at - 1))
    if (!isOver) return add(point.at_ms, point.asked, point.served)
    // The line goes on at the top to the moment of the promotion, and ends there.
    if (promotions.has(at)) add(point.at_ms - 1, 100, before?.served ?? null)
    add(point.at_ms, null, null)
  })
  return result
}
