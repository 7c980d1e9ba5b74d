import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useState } from 'react'
import { change } from '../api/client'
import { Live, useBehind } from '../api/live'
import { sessionQuery } from '../api/queries'
import { restarts } from '../api/restart'
import type { SessionView, UserView } from '../api/types'
import { Loading, Restarting, Trouble } from '../parts/bits'
import { useNow } from '../parts/clock'
import { useKeys } from '../parts/keys'
import { Icon } from '../parts/state'
import { duration } from '../parts/words'
import { Login } from './Login'

const Palette = lazy(() => import('../parts/Palette'))

/** The frame around every page; the login where nobody is known. */
export function Shell() {
  const session = useQuery(sessionQuery)
  if (session.data === undefined) {
    return (
      <main className="alone">
        {session.isError ? (
          <Trouble error={session.error} />
        ) : restarts(session.failureReason) ? (
          <Restarting />
        ) : (
          <Loading what="your session" />
        )}
      </main>
    )
  }
  const { user } = session.data
  if (user === null) return <Login version={session.data.version} />
  return (
    <Live>
      <Frame user={user} csrf={session.data.csrf} version={session.data.version} />
    </Live>
  )
}

function Frame({ user, csrf, version }: { user: UserView; csrf: string; version: string }) {
  const [palette, setPalette] = useState(false)
  const open = useCallback(() => setPalette(true), [])
  useKeys(open)
  const client = useQueryClient()
  const leaving = useMutation({
    mutationFn: () => change<SessionView>('/logout', csrf),
    onSuccess: (left) => {
      client.clear()
      client.setQueryData(sessionQuery.queryKey, left)
    },
  })
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="bar">
        <Link to="/" className="brand" title={`Bespin ${version}`}>
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>Bespin</span>
        </Link>
        <nav aria-label="Pages">
          <Link to="/" activeOptions={{ exact: true }}>
            Home
          </Link>
          <Link to="/runs">Runs</Link>
          <Link to="/apps">Applications</Link>
          <Link to="/rollouts">Rollouts</Link>
          <Link to="/deliveries">Deliveries</Link>
          <Link to="/plugins">Plugins</Link>
        </nav>
        <span className="grow" />
        <button type="button" className="quiet find" onClick={open}>
          Go to… <kbd>Ctrl K</kbd>
        </button>
        <details className="person">
          <summary>
            {user.name} <span className="faint role">{user.role}</span>
          </summary>
          <div>
            <p className="faint">
              {user.role === 'operator' ? 'You may retry, promote and abort.' : 'You may look, and change nothing.'}
            </p>
            <button type="button" onClick={() => leaving.mutate()} disabled={leaving.isPending}>
              Log out
            </button>
          </div>
        </details>
      </header>
      <BehindBanner />
      <main id="main" tabIndex={-1}>
        <Outlet />
      </main>
      {palette && (
        <Suspense>
          <Palette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  )
}

function BehindBanner() {
  const behind = useBehind()
  const now = useNow()
  return (
    <div role="status" aria-live="polite">
      {behind !== null && (
        <p className="behind">
          <Icon word="warning" /> What you see is old: nothing was heard from the server for {duration(now - behind)}. It
          restarts, or cannot be reached; this page tries again by itself.
        </p>
      )}
    </div>
  )
}
