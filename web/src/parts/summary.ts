import type { HomeCounts } from '../api/types'
import { count } from './words'

/** Each kind of thing that needs a person, in words; none where nothing does. No kind is left out. */
export function needsPerson(counts: HomeCounts): string[] {
  const told = (n: number, one: string, many: string) => (n === 0 ? [] : [`${n} ${n === 1 ? one : many}`])
  return [
    ...told(counts.unserved, 'rollout has too few pods', 'rollouts have too few pods'),
    ...told(counts.aborted, 'canary was aborted', 'canaries were aborted'),
    ...told(counts.failed_runs, 'pipeline fails', 'pipelines fail'),
    ...told(counts.blocked, 'thing is blocked', 'things are blocked'),
    ...told(counts.degraded, 'thing is degraded', 'things are degraded'),
    ...told(counts.unreadable, 'application cannot be read', 'applications cannot be read'),
    ...told(counts.plugins_refused, 'plugin is refused', 'plugins are refused'),
    ...told(counts.warnings, 'warning', 'warnings'),
    ...told(counts.deliveries_waiting, 'delivery waits', 'deliveries wait'),
    ...(counts.approvals === 0
      ? []
      : [`${count(counts.approvals, 'run')} ${counts.approvals === 1 ? 'waits' : 'wait'} for approval`]),
  ]
}

/** Whether something is wrong, beyond what only waits. */
export const isBad = (counts: HomeCounts) =>
  counts.unserved +
    counts.aborted +
    counts.failed_runs +
    counts.blocked +
    counts.degraded +
    counts.unreadable +
    counts.plugins_refused >
  0
