import type { ProblemView, SessionView } from './types'

/** An error as the server tells it: what was tried, what came back, what to do. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly view: ProblemView,
  ) {
    super(`${view.tried}: ${view.got}`)
  }
}

const base = '/api/v1'

async function answer<T>(tried: string, asked: Promise<Response>): Promise<T> {
  const response = await asked.catch((error: unknown) => {
    throw new Problem(0, {
      tried,
      got: `the server cannot be reached (${error instanceof Error ? error.message : 'no answer'})`,
      help: 'check that the server runs; this page tries again by itself',
      fields: [],
    })
  })
  if (response.status === 204 || response.status === 202) return undefined as T
  const text = await response.text()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  if (response.ok && body !== undefined) return body as T
  const view = isProblem(body)
    ? body
    : { tried, got: `${response.status} ${response.statusText}`, help: 'look at the server’s own log', fields: [] }
  throw new Problem(response.status, view)
}

function isProblem(body: unknown): body is ProblemView {
  return typeof body === 'object' && body !== null && 'tried' in body && 'got' in body && 'help' in body
}

/** Reads one of the API's views. */
export function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answer<T>(`reading ${path}`, fetch(base + path, { signal, headers: { accept: 'application/json' } }))
}

/** Changes something; `csrf` is the session's proof. */
export function change<T>(path: string, csrf: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { 'x-bespin-csrf': csrf }
  if (body !== undefined) headers['content-type'] = 'application/json'
  const sent = body === undefined ? undefined : JSON.stringify(body)
  return answer<T>(`asking for ${path}`, fetch(base + path, { method: 'POST', headers, body: sent }))
}

export function logIn(name: string, password: string): Promise<SessionView> {
  return change<SessionView>('/login', '', { name, password })
}

/** `a/b c` as it stands in an address, its slashes kept. */
export function inPath(id: string): string {
  return id.split('/').map(encodeURIComponent).join('/')
}

export function logPath(run: string, step: string, attempt: number): string {
  return `${base}/runs/${inPath(run)}/steps/${encodeURIComponent(step)}/attempts/${attempt}/log`
}

export const eventsPath = `${base}/events`
