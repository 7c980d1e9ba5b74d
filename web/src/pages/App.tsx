import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { inPath } from '../api/client'
import { appQuery } from '../api/queries'
import type { AppPage, AppView, ResourceView } from '../api/types'
import { Detail } from '../app/Detail'
import { resourceId, Tree } from '../app/Tree'
import { Act } from '../parts/acting'
import { Ago, Answered, StatusLine, Copy, Empty, Panel, Sha, Tabs } from '../parts/bits'
import { Journal } from '../parts/Journal'
import { Icon, State } from '../parts/state'

const route = getRouteApi('/apps/$cluster/$namespace/$name')

/** Is the cluster what git says, and if not, whose doing is it? */
export default function App() {
  const { cluster, namespace, name } = route.useParams()
  const query = useQuery(appQuery(`app/${cluster}/${namespace}/${name}`))
  return (
    <Answered query={query} what={`the application ${name}`}>
      {(page) => <Whole page={page} />}
    </Answered>
  )
}

type Tab = 'resources' | 'history' | 'journal'

function Whole({ page }: { page: AppPage }) {
  const { app } = page
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const [tab, setTab] = useState<Tab>('resources')
  const chosen = app.resources.find((resource) => resourceId(resource) === search.resource)
  const pick = (resource: ResourceView | undefined) =>
    void navigate({
      search: (before) => ({ ...before, resource: resource === undefined ? undefined : resourceId(resource) }),
    })
  return (
    <>
      <title>{`${app.name} · Bespin`}</title>
      <Head page={page} />
      {app.warnings.map((warning) => (
        <p key={warning} className="notice">
          <Icon word="warning" /> {warning}
        </p>
      ))}
      <Tabs
        label="application"
        value={tab}
        options={[
          { value: 'resources', label: `Resources (${app.resources.length})` },
          { value: 'history', label: 'History' },
          { value: 'journal', label: `Journal (${page.journal.length})` },
        ]}
        onChange={setTab}
      />
      {tab === 'resources' && (
        <>
          <div className={chosen === undefined ? 'split app' : 'split app has-side'}>
            <Panel title="Resources">
              <Tree
                resources={app.resources}
                chosen={search.resource}
                search={search.q ?? ''}
                only={search.only === 'differing'}
                onPick={pick}
                onSearch={(q) =>
                  void navigate({ search: (before) => ({ ...before, q: q || undefined }), replace: true })
                }
                onOnly={(only) =>
                  void navigate({
                    search: (before) => ({ ...before, only: only ? 'differing' : undefined }),
                    replace: true,
                  })
                }
              />
            </Panel>
            {chosen === undefined ? (
              <Owners app={app} onPick={pick} />
            ) : (
              <Detail resource={chosen} onClose={() => pick(undefined)} />
            )}
          </div>
        </>
      )}
      {tab === 'history' && <History app={app} />}
      {tab === 'journal' && (
        <Panel title="Journal">
          <Journal entries={page.journal} />
        </Panel>
      )}
    </>
  )
}

function Head({ page }: { page: AppPage }) {
  const { app } = page
  return (
    <header className="page-head">
      <div className="grow">
        <p className="facts">
          <State word={app.sync} />
          <State word={app.health} />
          {app.ownership === 'observed' && <State word="observed">observed only: another controller owns it</State>}
        </p>
        <h1>{app.name}</h1>
        <p className="facts">
          <span>{app.cluster}</span>
          <span>
            {app.repo} at <code>{app.path}</code>
          </span>
          <span>
            compared with <Sha sha={app.revision} />
          </span>
        </p>
        <StatusLine status={page.status} quiet="The sync says nothing at this moment." />
      </div>
      <div className="actions">
        {app.ownership === 'owned' && (
          <Act
            label="Sync now"
            confirm="Sync"
            effect={`Brings ${app.cluster} to what ${app.repo} says at ${app.path} now. What an autoscaler owns is left alone.`}
            path={`/apps/${inPath(page.stream.slice('app/'.length))}/sync`}
          />
        )}
      </div>
    </header>
  )
}

/** Which fields are not git's, and whose they are. */
function Owners({ app, onPick }: { app: AppView; onPick: (resource: ResourceView) => void }) {
  const owned = app.resources.filter((resource) => resource.owned.length > 0)
  return (
    <Panel title="Who owns which field">
      {owned.length === 0 ? (
        <Empty title="Every field is git’s">
          Where an autoscaler or a person owns a field, it stands here with its owner. Choose a resource to see its
          difference.
        </Empty>
      ) : (
        <ul className="owners">
          {owned.map((resource) => (
            <li key={resourceId(resource)}>
              <button type="button" className="link" onClick={() => onPick(resource)}>
                {resource.kind}/{resource.name}
              </button>
              {resource.owned.map((line) => (
                <p key={line}>{line}</p>
              ))}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function History({ app }: { app: AppView }) {
  return (
    <Panel title="Syncs that ended">
      {app.history.length === 0 ? (
        <Empty title="No sync has ended yet">The first one stands here with its commit.</Empty>
      ) : (
        <ol className="history">
          {app.history.map((sync) => (
            <li key={`${sync.revision} ${sync.at_ms}`}>
              <Sha sha={sync.revision} />
              <span className="grow">{sync.outcome}</span>
              <Ago at={sync.at_ms} />
              <Copy text={sync.revision} what="the commit" />
            </li>
          ))}
        </ol>
      )}
    </Panel>
  )
}
