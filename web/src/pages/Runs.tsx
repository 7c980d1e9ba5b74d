import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { runsQuery } from '../api/queries'
import type { RunRowView, RunsView } from '../api/types'
import { Answered, Empty, Panel } from '../parts/bits'
import { RunRow } from '../parts/RunRow'
import { More } from '../parts/More'
import { count } from '../parts/words'

const route = getRouteApi('/runs')

/** Every run that the journal remembers. */
export default function Runs() {
  const { q = '' } = route.useSearch()
  const navigate = route.useNavigate()
  const query = useInfiniteQuery(runsQuery(q))
  return (
    <>
      <title>Runs · Bespin</title>
      <div className="page-head">
        <h1 className="grow">Runs</h1>
        <Link to="/start" className="button">
          Start a run
        </Link>
      </div>
      <input
        type="search"
        data-search
        aria-label="search the runs"
        placeholder="Search by title, author, branch, commit (press /)"
        value={q}
        onChange={(event) => void navigate({ search: { q: event.target.value || undefined }, replace: true })}
      />
      <Answered query={query} what="the runs">
        {({ pages }) => (
          <Panel title={count(pages[0]?.total ?? 0, 'run')}>
            {pages[0]?.runs.length === 0 &&
              (q === '' ? (
                <Empty title="No run yet">Push to a branch that a pipeline listens to, or start one by hand.</Empty>
              ) : (
                <Empty title="No run holds these words">Try fewer of them.</Empty>
              ))}
            {each(pages).map((row) => (
              <RunRow key={row.run.id} view={row} />
            ))}
            <More query={query} />
          </Panel>
        )}
      </Answered>
    </>
  )
}

/** Every run of the pages once: a run that came meanwhile moves the others on. */
function each(pages: RunsView[]): RunRowView[] {
  const all = new Map(pages.flatMap((page) => page.runs).map((row) => [row.run.id, row]))
  return [...all.values()]
}
