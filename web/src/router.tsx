import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { untilLoaded } from './api/restart'
import { Empty } from './parts/bits'
import { Home } from './pages/Home'
import { Shell } from './pages/Shell'

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
const number = (value: unknown) =>
  Number.isSafeInteger(Number(value)) && value !== undefined ? Number(value) : undefined

/** Every page's code, which is fetched once the first page is shown: a click needs no server for it then. */
const ahead: (() => Promise<unknown>)[] = []

/** A page that waits for a server that restarts, in place of the browser's error. */
const page = <T extends { default: ComponentType }>(load: () => Promise<T>) => {
  const loaded = () => untilLoaded(load)
  ahead.push(loaded)
  return lazyRouteComponent(loaded)
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => (
    <Empty title="There is no such page">
      Press <kbd>Ctrl</kbd> <kbd>K</kbd> and type where you want to go.
    </Empty>
  ),
})

const home = createRoute({ getParentRoute: () => root, path: '/', component: Home })

const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  validateSearch: (search): { q?: string | undefined } => ({ q: text(search.q) }),
  component: page(() => import('./pages/Runs')),
})

const start = createRoute({
  getParentRoute: () => root,
  path: '/start',
  validateSearch: (search): StartSearch => ({
    repository: text(search.repository),
    file: text(search.file),
    at: text(search.at),
  }),
  component: page(() => import('./pages/Start')),
})

/** Which pipeline is to be started, and at which branch or tag. */
export interface StartSearch {
  repository?: string | undefined
  file?: string | undefined
  at?: string | undefined
}

export const runRoute = createRoute({
  getParentRoute: () => root,
  path: '/runs/$owner/$repo/$pipeline/$number',
  validateSearch: (search): RunSearch => ({
    step: text(search.step),
    tab: text(search.tab),
    attempt: number(search.attempt),
    line: number(search.line),
    view: text(search.view),
  }),
  component: page(() => import('./pages/Run')),
})

/** What of a run is looked at. */
export interface RunSearch {
  step?: string | undefined
  tab?: string | undefined
  attempt?: number | undefined
  line?: number | undefined
  view?: string | undefined
}

const apps = createRoute({
  getParentRoute: () => root,
  path: '/apps',
  component: page(() => import('./pages/Apps')),
})

export const appRoute = createRoute({
  getParentRoute: () => root,
  path: '/apps/$cluster/$namespace/$name',
  validateSearch: (search): AppSearch => ({
    resource: text(search.resource),
    q: text(search.q),
    only: text(search.only),
  }),
  component: page(() => import('./pages/App')),
})

/** What of an application is looked at. */
export interface AppSearch {
  resource?: string | undefined
  q?: string | undefined
  only?: string | undefined
}

const rollouts = createRoute({
  getParentRoute: () => root,
  path: '/rollouts',
  component: page(() => import('./pages/Rollouts')),
})

export const rolloutRoute = createRoute({
  getParentRoute: () => root,
  path: '/rollouts/$cluster/$namespace/$name',
  component: page(() => import('./pages/Rollout')),
})

const deliveries = createRoute({
  getParentRoute: () => root,
  path: '/deliveries',
  validateSearch: (search): { q?: string | undefined; only?: string | undefined } => ({
    q: text(search.q),
    only: text(search.only),
  }),
  component: page(() => import('./pages/Deliveries')),
})

const plugins = createRoute({
  getParentRoute: () => root,
  path: '/plugins',
  component: page(() => import('./pages/Plugins')),
})

export const router = createRouter({
  routeTree: root.addChildren([home, runs, start, runRoute, apps, appRoute, rollouts, rolloutRoute, deliveries, plugins]),
  defaultPreload: 'intent',
  scrollRestoration: true,
})

/** Fetches the code of all pages, one after the other; what fails is fetched again when it is needed. */
export async function fetchAhead() {
  for (const load of ahead) await load().catch(() => undefined)
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
