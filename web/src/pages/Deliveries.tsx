import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { deliveriesQuery } from '../api/queries'
import type { DeliveryView } from '../api/types'
import { Ago, Answered, Empty, Panel, Sha, StatusLine } from '../parts/bits'
import { StreamLink } from '../parts/links'
import { More } from '../parts/More'
import { State } from '../parts/state'
import { branch, brief, count } from '../parts/words'

const route = getRouteApi('/deliveries')

/** What came in, and what became of it. */
export default function Deliveries() {
  const { q = '', only } = route.useSearch()
  const navigate = route.useNavigate()
  const query = useInfiniteQuery(deliveriesQuery(q, only))
  return (
    <>
      <title>Deliveries · Bespin</title>
      <h1>Deliveries</h1>
      <input
        type="search"
        data-search
        aria-label="search the deliveries"
        placeholder="Search by repository, branch, commit, sender, reason (press /)"
        value={q}
        onChange={(event) => void navigate({ search: { q: event.target.value || undefined, only }, replace: true })}
      />
      <Answered query={query} what="the deliveries">
        {({ pages }) => {
          const all = pages.flatMap((page) => page.deliveries)
          // One that came meanwhile moves the others on.
          const deliveries = [...new Map(all.map((delivery) => [delivery.stream, delivery])).values()]
          const { total, waiting } = pages[0] ?? { total: 0, waiting: 0 }
          return (
            <Panel
              title={only === undefined ? count(total, 'delivery', 'deliveries') : `${count(total, 'delivery', 'deliveries')} ${only}`}
              side={
                <button
                  type="button"
                  aria-pressed={only === 'waiting'}
                  onClick={() =>
                    void navigate({
                      search: { q: q || undefined, only: only === 'waiting' ? undefined : 'waiting' },
                      replace: true,
                    })
                  }
                >
                  {waiting === 0 ? 'None waits' : `${waiting} of all ${waiting === 1 ? 'waits' : 'wait'}`}
                </button>
              }
            >
              {deliveries.length === 0 && (
                <Empty title={q === '' && only === undefined ? 'No delivery yet' : 'No delivery is like this'}>
                  {q === '' && only === undefined ? (
                    <>
                      Point the repository’s webhook at <code>/hooks/github/default</code> of the hook listener. Events that
                      open no runs, such as a ping, are answered and not kept.
                    </>
                  ) : (
                    'Look for less.'
                  )}
                </Empty>
              )}
              {deliveries.map((delivery) => (
                <Delivery key={delivery.stream} view={delivery} />
              ))}
              <More query={query} />
            </Panel>
          )
        }}
      </Answered>
    </>
  )
}

function Delivery({ view }: { view: DeliveryView }) {
  return (
    <article className="row">
      <header>
        <span className="title">
          {view.repository === '' ? view.delivery : `${view.repository}, ${branch(view.reference)}`}
        </span>
        <State word={view.state === 'opened' ? 'succeeded' : view.state === 'ignored' ? 'skipped' : 'waiting'}>
          {view.state}
        </State>
      </header>
      <p className="facts">
        <span>{view.event}</span>
        {view.sha !== '' && <Sha sha={view.sha} />}
        {view.sender !== '' && <span>by {view.sender}</span>}
        <span>
          received <Ago at={view.received_ms} />
        </span>
        <code title={view.stream}>{view.delivery.slice(0, 8)}</code>
      </p>
      {view.status === null ? <p className="because">{brief(view.message)}</p> : <StatusLine status={view.status} />}
      {view.runs.length > 0 && (
        <p className="facts">
          {view.runs.map((run) => (
            <StreamLink key={run} stream={`run/${run}`} row />
          ))}
        </p>
      )}
      {view.skipped.length > 0 && (
        <ul className="faint">
          {view.skipped.map(({ file, because }) => (
            <li key={file}>
              <code>{file}</code>: {brief(because)}
            </li>
          ))}
        </ul>
      )}
    </article>
  )
}
