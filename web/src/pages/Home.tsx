import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { homeQuery } from '../api/queries'
import type { HomeView, TroubleView } from '../api/types'
import { Ago, Answered, Empty, Panel } from '../parts/bits'
import { RunRow } from '../parts/RunRow'
import { stageName, StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { isBad, needsPerson } from '../parts/summary'
import { brief, count } from '../parts/words'

/** Is anything wrong, and what is moving? */
export function Home() {
  const home = useQuery(homeQuery)
  return (
    <Answered query={home} what="what moves">
      {(view) => (
        <>
          <title>{worth(view) > 0 ? `(${worth(view)}) Bespin` : 'Bespin'}</title>
          <Headline view={view} />
          {view.runs === 0 && view.apps === 0 ? <First /> : <Sections view={view} />}
        </>
      )}
    </Answered>
  )
}

/** How many things are worth a look: what the tab says while nobody reads it. */
const worth = (view: HomeView) => view.troubles.length + view.counts.approvals

function Headline({ view }: { view: HomeView }) {
  const moving = view.open.length
  const needs = needsPerson(view.counts)
  const parts = [
    ...(needs.length > 0 ? needs : ['Nothing needs a person']),
    moving > 0
      ? `${count(moving, 'push', 'pushes')} ${moving === 1 ? 'is' : 'are'} on ${moving === 1 ? 'its' : 'their'} way`
      : 'nothing is moving',
  ]
  return <h1 className={isBad(view.counts) ? 'headline tone-bad' : 'headline'}>{parts.join(', ')}.</h1>
}

function Sections({ view }: { view: HomeView }) {
  return (
    <>
      <Panel title="On its way">
        {view.open.length === 0 ? (
          <Empty title="Nothing is moving">Push to a branch that a pipeline listens to, or retry a run.</Empty>
        ) : (
          view.open.map((row) => <RunRow key={row.run.id} view={row} />)
        )}
      </Panel>
      <Panel
        title="Worth a look"
        side={
          <span className="faint">
            of {count(view.apps, 'application')} and {count(view.rollouts, 'rollout')}
          </span>
        }
      >
        {view.troubles.length === 0 ? (
          <Empty title="All is well">Nothing failed, is degraded, out of sync or stuck.</Empty>
        ) : (
          <ul className="troubles">
            {view.troubles.map((trouble) => (
              <Trouble key={trouble.stream} trouble={trouble} />
            ))}
          </ul>
        )}
      </Panel>
      <Panel title="Ended lately" side={<Link to="/runs">All runs</Link>}>
        {view.ended.length === 0 ? (
          <Empty title="Nothing has ended yet">The first run appears here when it is done.</Empty>
        ) : (
          view.ended.map((row) => <RunRow key={row.run.id} view={row} />)
        )}
      </Panel>
    </>
  )
}

function Trouble({ trouble }: { trouble: TroubleView }) {
  return (
    <li>
      <State word={trouble.what} />
      <span className="grow">
        <span className="faint">{stageName(trouble.stream)} </span>
        <StreamLink stream={trouble.stream} row /> <span className="reason">{brief(trouble.reason)}</span>
      </span>
      {trouble.since_ms !== null && (
        <span className="faint">
          <Ago at={trouble.since_ms} />
        </span>
      )}
    </li>
  )
}

function First() {
  return (
    <Panel title="Start here">
      <Empty title="No push has arrived yet">
        <ol className="steps-to-do">
          <li>
            Write a pipeline into <code>.bespin/</code> of a repository; <code>bespin lint FILE</code> checks it.
          </li>
          <li>
            Point the repository’s webhook at <code>/hooks/github/default</code> of the hook listener, with the secret
            of the configuration.
          </li>
          <li>Push. The run appears here within a second.</li>
        </ol>
      </Empty>
    </Panel>
  )
}
