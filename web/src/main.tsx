import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Problem } from './api/client'
import { sessionQuery } from './api/queries'
import { AGAIN_MS, restarts } from './api/restart'
import { fetchAhead, router } from './router'
import './style/tokens.css'
import './style/base.css'
import './style/shell.css'
import './style/parts.css'
import './style/pages.css'

// Whoever is told "log in" by any answer is shown the login.
const lapsed = new QueryCache({
  onError: (error, query) => {
    if (error instanceof Problem && error.status === 401 && query.queryKey[0] !== 'session') {
      void client.invalidateQueries({ queryKey: sessionQuery.queryKey })
    }
  },
})

// Nothing polls: the server's events say what is stale.
const client = new QueryClient({
  queryCache: lapsed,
  defaultOptions: {
    queries: {
      staleTime: Infinity,
      refetchOnWindowFocus: false,
      // A server that restarts is asked until it is back.
      retry: (times, error) =>
        restarts(error) || (times < 2 && !(error instanceof Problem && error.status >= 400 && error.status < 500)),
      retryDelay: (times, error) => (restarts(error) ? AGAIN_MS : Math.min(1_000 * 2 ** times, 30_000)),
    },
  },
})

const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  )
}

setTimeout(() => void fetchAhead(), 1_000)
