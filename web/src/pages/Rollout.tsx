import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { inPath } from '../api/client'
import { rolloutQuery } from '../api/queries'
import type { RevisionView, RolloutPage, RolloutView } from '../api/types'
import { Act, useOperator } from '../parts/acting'
import { Answered, StatusLine, Empty, Loading, Panel } from '../parts/bits'
import { useNow } from '../parts/clock'
import { Journal } from '../parts/Journal'
import { Icon, State } from '../parts/state'
import { brief, count, duration, tag } from '../parts/words'
import { Weight } from '../rollout/Weight'

const Chart = lazy(() => import('../rollout/Chart'))
const route = getRouteApi('/rollouts/$cluster/$namespace/$name')

/** How far is the canary, is it safe, and what do I press? */
export default function Rollout() {
  const { cluster, namespace, name } = route.useParams()
  const query = useQuery(rolloutQuery(`rollout/${cluster}/${namespace}/${name}`))
  return (
    <Answered query={query} what={`the rollout ${name}`}>
      {(page) => <Whole page={page} />}
    </Answered>
  )
}

function Whole({ page }: { page: RolloutPage }) {
  const { rollout } = page
  const { may } = useOperator()
  return (
    <>
      <title>{`${rollout.name} · Bespin`}</title>
      <header className="page-head">
        <div className="grow">
          <p className="facts">
            <State word={rollout.phase} />
            {rollout.ownership === 'observed' && (
              <State word="observed">observed only: another controller owns it</State>
            )}
            <span>{rollout.cluster}</span>
          </p>
          <h1>
            {rollout.name} <Images rollout={rollout} />
          </h1>
          <StatusLine status={page.status} quiet="The canary says nothing at this moment." />
          {rollout.message !== '' && rollout.phase !== 'Paused' && <p className="faint">{brief(rollout.message)}</p>}
        </div>
      </header>
      <Panel
        title="What you may do now"
        side={!may && <span className="faint">you are a viewer: an operator may press these</span>}
      >
        {rollout.actions.length === 0 ? (
          <Empty title="Nothing to press">
            {rollout.ownership === 'observed'
              ? 'Its owner acts; Bespin looks. `bespin take` of the Application that brings it changes that.'
              : 'It is where it should be. A push of a new image starts the next rollout.'}
          </Empty>
        ) : (
          <div className="bigs">
            {rollout.actions.map(({ action, label, effect }) => (
              <Act
                key={action}
                big
                label={label}
                effect={effect}
                confirm={label}
                tone={action === 'abort' ? 'bad' : 'good'}
                path={`/rollouts/${inPath(page.stream.slice('rollout/'.length))}/actions/${encodeURIComponent(action)}`}
              />
            ))}
          </div>
        )}
      </Panel>
      <Panel title="Progress" side={<Pause until={rollout.paused_until_ms} />}>
        {rollout.stable_image !== rollout.canary_image && (
          <Weight asked={rollout.asked} served={rollout.served} big />
        )}
        <Steps rollout={rollout} />
      </Panel>
      <Panel title="Weight over time">
        {rollout.weights.length === 0 ? (
          <Empty title="No weight was shifted yet">
            What is asked and what the load balancer serves are drawn here over time.
          </Empty>
        ) : (
          <Suspense fallback={<Loading what="the chart’s code" />}>
            <Chart weights={rollout.weights} phase={rollout.phase} />
          </Suspense>
        )}
      </Panel>
      <Panel title="Pods by revision">
        {rollout.revisions.length === 0 ? (
          <Empty title="No pods yet">They appear with the rollout’s first ReplicaSet.</Empty>
        ) : (
          <div className="revisions">
            {rollout.revisions.map((revision) => (
              <Revision key={revision.hash} revision={revision} />
            ))}
          </div>
        )}
      </Panel>
      <Panel title="Journal">
        <Journal entries={page.journal} />
      </Panel>
    </>
  )
}

function Images({ rollout }: { rollout: RolloutView }) {
  const [stable, canary] = [tag(rollout.stable_image), tag(rollout.canary_image)]
  return (
    <small className="faint" title={`${rollout.stable_image}\n${rollout.canary_image}`}>
      {rollout.stable_image === rollout.canary_image ? stable : `${stable} → ${canary}`}
    </small>
  )
}

function Pause({ until }: { until: number | null }) {
  const now = useNow()
  if (until === null) return null
  return <span className="num">{until > now ? `the pause ends in ${duration(until - now)}` : 'the pause is over'}</span>
}

function Steps({ rollout }: { rollout: RolloutView }) {
  const moving = rollout.stable_image !== rollout.canary_image
  return (
    <ol className="progress">
      {rollout.steps.map((step, at) => {
        const word =
          at < rollout.at
            ? 'succeeded'
            : at === rollout.at && moving
              ? rollout.phase !== 'Degraded'
                ? 'running'
                : rollout.asked > 0
                  ? 'blocked'
                  : 'pending' // It went back, and no step is under way.
              : 'pending'
        return (
          <li key={at} className={`progress-step is-${word}`} aria-current={at === rollout.at ? 'step' : undefined}>
            <Icon word={word} />
            <span>{step.text}</span>
          </li>
        )
      })}
      <li className={`progress-step is-${rollout.at >= rollout.steps.length ? 'succeeded' : 'pending'}`}>
        <Icon word={rollout.at >= rollout.steps.length ? 'succeeded' : 'pending'} />
        <span>100 %, the canary is the stable one</span>
      </li>
    </ol>
  )
}

function Revision({ revision }: { revision: RevisionView }) {
  return (
    <section className={`revision is-${revision.role}`} aria-label={`revision ${revision.revision}`}>
      <header>
        <h3>
          {revision.role} <span className="faint num">revision {revision.revision}</span>
        </h3>
        <strong className="num">
          {revision.ready} of {count(revision.wanted, 'pod')} ready
        </strong>
      </header>
      <p className="facts">
        <code title={revision.image}>{tag(revision.image)}</code>
        <code>{revision.hash}</code>
      </p>
      <ul className="pods">
        {revision.pods.map((pod) => (
          <li key={pod.name}>
            <Icon word={pod.ready ? 'succeeded' : pod.phase.startsWith('Failed') ? 'failed' : 'running'} />
            <code className="grow">{pod.name}</code>
            <span className="faint">
              {pod.phase}
              {pod.ready ? ', ready' : ', not ready'}
            </span>
          </li>
        ))}
        {revision.pods.length === 0 && <li className="faint">no pods</li>}
      </ul>
    </section>
  )
}
