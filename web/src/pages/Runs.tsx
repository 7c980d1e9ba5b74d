import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { runsQuery } from '../api/queries'
import { Answered, Empty, Panel } from '../parts/bits'
import { Corridor } from '../parts/Corridor'
import { count } from '../parts/words'

const route = getRouteApi('/runs')

/** Every run that the journal remembers. */
export default function Runs() {
  const { q = '' } = route.useSearch()
  const navigate = route.useNavigate()
  const [limit, setLimit] = useState(50)
  const runs = useQuery(runsQuery(q, limit))
  return (
    <>
      <title>Runs · Bespin</title>
      <h1>Runs</h1>
      <input
        type="search"
        data-search
        aria-label="search the runs"
        placeholder="Search by title, author, branch, commit (press /)"
        value={q}
        onChange={(event) => void navigate({ search: { q: event.target.value || undefined }, replace: true })}
      />
      <Answered query={runs} what="the runs">
        {(view) => (
          <Panel title={count(view.total, 'run')}>
            {view.runs.length === 0 &&
              (q === '' ? (
                <Empty title="No run yet">Push to a branch that a pipeline listens to.</Empty>
              ) : (
                <Empty title="No run holds these words">Try fewer of them.</Empty>
              ))}
            {view.runs.map((corridor) => (
              <Corridor key={corridor.run.id} view={corridor} />
            ))}
            {view.total > view.runs.length && (
              <button type="button" className="more" onClick={() => setLimit(limit + 50)}>
                Show more of them
              </button>
            )}
          </Panel>
        )}
      </Answered>
    </>
  )
}
