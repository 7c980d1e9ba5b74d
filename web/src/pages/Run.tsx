import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { inPath } from '../api/client'
import { runQuery } from '../api/queries'
import type { RetriedView, RunView } from '../api/types'
import { Act } from '../parts/acting'
import { Ago, Answered, StatusLine, Lasting, Loading, Panel, Sha, Tabs } from '../parts/bits'
import { Journal } from '../parts/Journal'
import { runParams, StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { author, branch, short } from '../parts/words'
import { Approvals } from '../run/Approvals'
import { Drawer } from '../run/Drawer'
import { Timeline } from '../run/Timeline'
import { Values } from '../run/Written'

const Graph = lazy(() => import('../run/Graph'))
const route = getRouteApi('/runs/$owner/$repo/$pipeline/$number')

/** Where is it, why, and what did it say? */
export default function Run() {
  const { owner, repo, pipeline, number } = route.useParams()
  const id = `${owner}/${repo}/${pipeline}/${number}`
  const query = useQuery(runQuery(id))
  return (
    <Answered query={query} what={`run ${pipeline} #${number}`}>
      {(view) => <Whole view={view} />}
    </Answered>
  )
}

function Whole({ view }: { view: RunView }) {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const step = view.steps.find((step) => step.summary.id === search.step)
  const pick = (id: string | undefined) =>
    void navigate({ search: (before) => ({ view: before.view, step: id === search.step ? undefined : id }) })
  const { run } = view
  const journal = search.view === 'journal' || view.steps.length === 0
  return (
    <>
      <title>{`${run.pipeline} #${run.number} · Bespin`}</title>
      <Head view={view} />
      {view.mistakes.length > 0 && <Mistakes view={view} />}
      {Object.keys(view.inputs).length > 0 && (
        <Panel title="Started with">
          <div className="pad">
            <Values values={view.inputs} none="" />
          </div>
        </Panel>
      )}
      <Approvals view={view} />
      <div className={step === undefined ? 'split' : 'split has-side'}>
        <div className="split-main">
          <Tabs
            label="run"
            value={journal ? 'journal' : 'steps'}
            options={[
              ...(view.steps.length > 0 ? [{ value: 'steps' as const, label: 'Steps' }] : []),
              { value: 'journal' as const, label: `Journal (${view.journal.length})` },
            ]}
            onChange={(view) =>
              void navigate({ search: (before) => ({ ...before, view: view === 'steps' ? undefined : view }) })
            }
          />
          {journal ? (
            <Panel title="Journal">
              <Journal entries={view.journal} />
            </Panel>
          ) : (
            <>
              <Panel title="What needs what">
                <Suspense fallback={<Loading what="the graph’s code" />}>
                  <Graph steps={view.steps} chosen={search.step} onPick={pick} />
                </Suspense>
              </Panel>
              <Panel title="What took how long">
                <Timeline view={view} chosen={search.step} onPick={pick} />
              </Panel>
            </>
          )}
        </div>
        {step !== undefined && <Drawer run={run.id} step={step} onClose={() => pick(undefined)} />}
      </div>
    </>
  )
}

function Head({ view }: { view: RunView }) {
  const { run } = view
  const navigate = route.useNavigate()
  const here = view.steps.find((step) => step.summary.status !== null)
  const path = `/runs/${inPath(run.id)}`
  return (
    <header className="page-head">
      <div className="grow">
        <p className="facts">
          <State word={run.state} />
          <span>
            {run.repository}, {run.pipeline} <strong className="num">#{run.number}</strong>
          </span>
        </p>
        <h1>{run.title}</h1>
        <p className="facts">
          <span>
            <Sha sha={run.sha} /> on {branch(run.reference)} by {run.author}
          </span>
          <span>
            opened <Ago at={run.opened_ms} /> by {author(run.by)}
          </span>
          <span>
            {run.ended_ms === null ? 'for ' : 'took '}
            <Lasting from={run.opened_ms} to={run.ended_ms} />
          </span>
          <span>
            <code>{view.pipeline_file}</code>
          </span>
          {view.forced && <span>history was rewritten</span>}
          {run.retry_of !== null && (
            <span>
              repeats <StreamLink stream={`run/${run.retry_of}`} />
            </span>
          )}
        </p>
        {run.state === 'open' && (
          <StatusLine status={here?.summary.status ?? run.status} quiet="The run says nothing at this moment." />
        )}
        {run.state !== 'open' && run.state !== 'succeeded' && <StatusLine status={run.status} as={run.state} />}
        {view.cancel_asked !== null && run.state === 'open' && (
          <p className="because tone-waiting">Asked to end: {view.cancel_asked}</p>
        )}
      </div>
      <div className="actions">
        {run.state === 'open' ? (
          <Act
            label="Cancel"
            confirm="Cancel the run"
            tone="bad"
            effect={`Ends ${run.pipeline} #${run.number} early. Steps that run are stopped; what a step has asked of the cluster goes on.`}
            path={`${path}/cancel`}
          />
        ) : (
          <Act<RetriedView>
            label="Retry"
            {...retrying(view)}
            path={`${path}/retry`}
            onDone={({ run }) => void navigate({ params: runParams(run), search: {} })}
          />
        )}
      </div>
    </header>
  )
}

/** What a retry does: one of an older commit puts it in the place of a newer one. */
function retrying({ run, newer }: RunView): { confirm: string; effect: string; tone?: 'bad' } {
  const commit = `commit ${short(run.sha)} (${run.title})`
  const opens = `Opens a new run of ${run.pipeline} at ${commit}, with a number of its own.`
  if (newer === null || newer.sha === run.sha) return { confirm: 'Open a new run', effect: opens }
  const now = `#${newer.number} has run since then, at commit ${short(newer.sha)} (${newer.title})`
  return {
    confirm: `Go back to ${short(run.sha)}`,
    effect: `${opens} ${now}: what this pipeline deploys goes back from that to the older commit.`,
    tone: 'bad',
  }
}

function Mistakes({ view }: { view: RunView }) {
  return (
    <Panel title={`The pipeline file is refused`}>
      <p>
        <code>{view.pipeline_file}</code> at this commit has{' '}
        {view.mistakes.length === 1 ? 'a mistake' : `${view.mistakes.length} mistakes`}. Mend and push again; nothing
        was run.
      </p>
      {view.mistakes.map((mistake) => (
        <pre key={mistake} className="mistake">
          {mistake}
        </pre>
      ))}
    </Panel>
  )
}
