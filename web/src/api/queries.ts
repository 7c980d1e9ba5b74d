import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { inPath, read } from './client'
import type {
  AppPage,
  AppSummary,
  HomeView,
  PluginsView,
  RolloutPage,
  RolloutSummary,
  RunsView,
  RunView,
  SessionView,
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

export const runsQuery = (search: string, limit: number) =>
  queryOptions({
    queryKey: ['runs', search, limit],
    queryFn: ({ signal }) => read<RunsView>(`/runs?limit=${limit}&search=${encodeURIComponent(search)}`, signal),
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
