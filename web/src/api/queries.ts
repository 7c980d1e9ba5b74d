import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query'
import { inPath, read } from './client'
import type {
  AppPage,
  AppSummary,
  DeliveriesView,
  HomeView,
  PluginsView,
  RolloutPage,
  RolloutSummary,
  RunsView,
  RunView,
  SessionView,
  StartableView,
} from './types'

/** `app/cluster/namespace/name` without its first word. */
const rest = (stream: string) => stream.slice(stream.indexOf('/') + 1)

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => read<SessionView>('/session', signal),
})

export const homeQuery = queryOptions({
  queryKey: ['home'],
  queryFn: ({ signal }) => read<HomeView>('/home', signal),
})

export const pluginsQuery = queryOptions({
  queryKey: ['plugins'],
  queryFn: ({ signal }) => read<PluginsView>('/plugins', signal),
})

/** How many runs or deliveries are fetched at once; the server gives at most 200. */
const PAGE = 50

/** How many are passed over for the next page; none where all are there. */
const next = (total: number, pages: unknown[]) => (pages.length * PAGE < total ? pages.length * PAGE : undefined)

export const runsQuery = (search: string) =>
  infiniteQueryOptions({
    queryKey: ['runs', search],
    queryFn: ({ signal, pageParam }) =>
      read<RunsView>(`/runs?limit=${PAGE}&skip=${pageParam}&search=${encodeURIComponent(search)}`, signal),
    initialPageParam: 0,
    getNextPageParam: (last, pages) => next(last.total, pages),
    placeholderData: keepPreviousData,
  })

export const deliveriesQuery = (search: string, only: string | undefined) =>
  infiniteQueryOptions({
    queryKey: ['deliveries', search, only ?? ''],
    queryFn: ({ signal, pageParam }) => {
      const which = only === undefined ? '' : `&only=${encodeURIComponent(only)}`
      const words = `&search=${encodeURIComponent(search)}`
      return read<DeliveriesView>(`/deliveries?limit=${PAGE}&skip=${pageParam}${words}${which}`, signal)
    },
    initialPageParam: 0,
    getNextPageParam: (last, pages) => next(last.total, pages),
    placeholderData: keepPreviousData,
  })

/** What can be started by hand; of one repository at a branch or tag, or of all at their default branches. */
export const startableQuery = (repository: string | undefined, at: string | undefined) =>
  queryOptions({
    queryKey: ['startable', repository ?? '', at ?? ''],
    queryFn: ({ signal }) => {
      const wish = Object.entries({ repository, ref: at }).flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
      )
      return read<StartableView>(`/startable${wish.length > 0 ? `?${wish.join('&')}` : ''}`, signal)
    },
    // Nobody tells when a branch has moved.
    staleTime: 0,
    placeholderData: keepPreviousData,
  })

export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ['run', id],
    queryFn: ({ signal }) => read<RunView>(`/runs/${inPath(id)}`, signal),
  })

export const appsQuery = queryOptions({
  queryKey: ['apps'],
  queryFn: ({ signal }) => read<AppSummary[]>('/apps', signal),
})

export const appQuery = (stream: string) =>
  queryOptions({
    queryKey: ['app', stream],
    queryFn: ({ signal }) => read<AppPage>(`/apps/${inPath(rest(stream))}`, signal),
  })

export const rolloutsQuery = queryOptions({
  queryKey: ['rollouts'],
  queryFn: ({ signal }) => read<RolloutSummary[]>('/rollouts', signal),
})

export const rolloutQuery = (stream: string) =>
  queryOptions({
    queryKey: ['rollout', stream],
    queryFn: ({ signal }) => read<RolloutPage>(`/rollouts/${inPath(rest(stream))}`, signal),
  })
