/** 850 ms, 12 s, 3 min 5 s, 2 h 10 min, 4 d 3 h. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return two(minutes, 'min', seconds % 60, 's')
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return two(hours, 'h', minutes % 60, 'min')
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
  small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** `12 seconds ago`, `in 3 minutes`. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1000)
  const far = Math.abs(seconds)
  if (far < 2) return 'now'
  if (far < 60) return relative.format(seconds, 'second')
  if (far < 3600) return relative.format(Math.trunc(seconds / 60), 'minute')
  if (far < 86_400) return relative.format(Math.trunc(seconds / 3600), 'hour')
  return relative.format(Math.trunc(seconds / 86_400), 'day')
}

/** `1 push`, `2 pushes`. */
export const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`

/** A commit id as people say it. */
export const short = (sha: string) => sha.slice(0, 7)

/** `main` of `refs/heads/main`, `pull request #7` of `refs/pull/7/head`. */
export const branch = (reference: string) =>
  reference.replace(/^refs\/(heads|tags)\//, '').replace(/^refs\/pull\/(\d+)\/head$/, 'pull request #$1')

/** The tag of an image, or the end of its digest. */
export function tag(image: string): string {
  const digest = image.split('@sha256:')[1]
  if (digest !== undefined) return `@${digest.slice(0, 12)}`
  const name = image.slice(image.lastIndexOf('/') + 1)
  const colon = name.indexOf(':')
  return colon < 0 ? name : name.slice(colon + 1)
}

/** A digest's first digits. */
export const digest = (value: string) => value.replace(/^sha256:/, '').slice(0, 12)

/** A plugin's reference without the digest that it is pinned to. */
export const referenceName = (uses: string) => uses.replace(/@sha256:[0-9a-f]+$/, '')

/** Words that Argo's clients look for, and that say little to people. */
const argo: Record<string, string> = { CanaryPauseStep: 'paused at a step of its canary' }

/** A sentence with its images as people say them: without their registries, digests cut short. */
export const brief = (sentence: string) =>
  (argo[sentence] ?? sentence).replace(
    /\b(?:localhost|[\w-]+(?:\.[\w-]+)+)(?::\d+)?\/([\w./-]+(?::[\w.-]*\w)?)(@sha256:[0-9a-f]{12})?[0-9a-f]*/g,
    (whole: string, name: string, digest: string | undefined) =>
      // Only an image has a tag or a digest; an address of the web stays as it is.
      digest !== undefined || name.includes(':') ? name + (digest ?? '') : whole,
  )

/** `person:ann` as `ann`; `delivery:7c1f5a52-...` as `delivery 7c1f5a52`. */
export function author(by: string): string {
  const colon = by.indexOf(':')
  if (colon < 0) return by
  const [kind, name] = [by.slice(0, colon), by.slice(colon + 1)]
  if (kind === 'person') return name
  return `${kind} ${kind === 'delivery' ? name.slice(0, 8) : name}`
}
