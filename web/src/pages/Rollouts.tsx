import { useQuery } from '@tanstack/react-query'
import { rolloutsQuery } from '../api/queries'
import { Answered, StatusLine, Empty, Panel } from '../parts/bits'
import { StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { count, tag } from '../parts/words'
import { Weight } from '../rollout/Weight'

/** Every rollout that was seen. */
export default function Rollouts() {
  const rollouts = useQuery(rolloutsQuery)
  return (
    <>
      <title>Rollouts · Bespin</title>
      <h1>Rollouts</h1>
      <Answered query={rollouts} what="the rollouts">
        {(rollouts) => (
          <Panel title={count(rollouts.length, 'rollout')}>
            {rollouts.length === 0 && (
              <Empty title="No rollout was seen">
                Put an Argo <code>Rollout</code> into the manifests repository of an application; its next sync creates
                it.
              </Empty>
            )}
            {rollouts.map((rollout) => (
              <article key={rollout.stream} className="row">
                <header>
                  <StreamLink stream={rollout.stream} row>
                    <span className="title">{rollout.name}</span>
                  </StreamLink>
                  <State word={rollout.phase} />
                  {rollout.ownership === 'observed' && <State word="observed" />}
                </header>
                <p className="facts">
                  <span>{rollout.cluster}</span>
                  <span>
                    {rollout.canary_image === rollout.stable_image
                      ? `${tag(rollout.stable_image)} everywhere`
                      : `${tag(rollout.stable_image)} → ${tag(rollout.canary_image)}`}
                  </span>
                  <span>
                    step {Math.min(rollout.at + 1, rollout.steps)} of {rollout.steps}
                  </span>
                </p>
                {rollout.canary_image !== rollout.stable_image && (
                  <Weight asked={rollout.asked} served={rollout.served} />
                )}
                <StatusLine status={rollout.status} />
              </article>
            ))}
          </Panel>
        )}
      </Answered>
    </>
  )
}
