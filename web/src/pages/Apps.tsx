import { useQuery } from '@tanstack/react-query'
import { appsQuery } from '../api/queries'
import { Answered, StatusLine, Empty, Panel, Sha } from '../parts/bits'
import { StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { count } from '../parts/words'

/** Every application that was seen. */
export default function Apps() {
  const apps = useQuery(appsQuery)
  return (
    <>
      <title>Applications · Bespin</title>
      <h1>Applications</h1>
      <Answered query={apps} what="the applications">
        {(apps) => (
          <Panel title={count(apps.length, 'application')}>
            {apps.length === 0 && (
              <Empty title="No application was seen">
                Create one with <code>bespin app create</code>, or apply an Argo CD <code>Application</code> to a
                cluster of the configuration. An Application that another controller owns is only observed, until{' '}
                <code>bespin take</code>.
              </Empty>
            )}
            {apps.map((app) => (
              <article key={app.stream} className="row">
                <header>
                  <StreamLink stream={app.stream} row>
                    <span className="title">{app.name}</span>
                  </StreamLink>
                  <State word={app.sync} />
                  <State word={app.health} />
                  {app.ownership === 'observed' && <State word="observed" />}
                </header>
                <p className="facts">
                  <span>{app.cluster}</span>
                  <span>{app.source}</span>
                  <span>
                    compared with <Sha sha={app.revision} />
                  </span>
                  <span>
                    {app.differing === 0
                      ? `${count(app.resources, 'resource')}, all as git says`
                      : `${app.differing} of ${count(app.resources, 'resource')} not as git says`}
                  </span>
                </p>
                <StatusLine status={app.status} />
              </article>
            ))}
          </Panel>
        )}
      </Answered>
    </>
  )
}
