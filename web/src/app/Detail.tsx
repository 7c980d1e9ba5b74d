import type { ResourceView } from '../api/types'
import { Empty } from '../parts/bits'
import { Diff } from '../parts/Diff'
import { State } from '../parts/state'
import { brief } from '../parts/words'

/** One resource: how it stands, who owns what of it, and how it differs from git. */
export function Detail({ resource, onClose }: { resource: ResourceView; onClose: () => void }) {
  const kind = [resource.group, resource.version].filter(Boolean).join('/')
  return (
    <section className="panel detail" aria-label={`${resource.kind} ${resource.name}`}>
      <header className="panel-head">
        <div className="grow">
          <h2>
            {resource.kind}/{resource.name}
          </h2>
          <p className="facts">
            <State word={resource.sync} />
            {resource.health !== '' && <State word={resource.health} />}
            <span>{kind}</span>
            {resource.namespace !== '' && <span>in {resource.namespace}</span>}
            {resource.parent !== '' && <span>of {resource.parent}</span>}
          </p>
        </div>
        <button type="button" className="quiet" onClick={onClose} aria-label="close the resource">
          ✕
        </button>
      </header>
      {resource.message !== '' && <p className="because tone-waiting">{brief(resource.message)}</p>}
      {resource.owned.length > 0 && (
        <div className="pad">
          <h3>Not git’s</h3>
          <ul className="owned">
            {resource.owned.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </div>
      )}
      <Difference resource={resource} />
    </section>
  )
}

/** What differs in a resource that is as git says. */
const beside = (differing: number) =>
  `Everything is as git says. ${differing === 1 ? 'One line is' : `${differing} lines are`} not git’s: written otherwise, a default, or another’s to set.`

function Difference({ resource }: { resource: ResourceView }) {
  if (resource.desired === '' && resource.live === '') {
    return <Empty title="Nothing to compare">Neither git nor the cluster says anything about it.</Empty>
  }
  if (resource.desired === '') {
    const what = resource.sync === 'extra' ? 'Git does not name it' : 'Git does not name it: its owner made it'
    return <Diff left="" right={resource.live} leftName="Git" rightName="Cluster" note={what} />
  }
  if (resource.live === '') {
    return (
      <Diff left={resource.desired} right="" leftName="Git" rightName="Cluster" note="It is missing in the cluster" />
    )
  }
  return (
    <Diff
      left={resource.desired}
      right={resource.live}
      leftName="Git"
      rightName="Cluster"
      note={resource.sync === 'synced' ? beside : undefined}
    />
  )
}
