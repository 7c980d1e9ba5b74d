import { useQuery } from '@tanstack/react-query'
import { pluginsQuery } from '../api/queries'
import type { AskView, DeclaredView, OutputView, PluginView, RowView, ServeView, SettingView, UseView } from '../api/types'
import { Ago, Answered, Empty, Panel } from '../parts/bits'
import { StreamLink } from '../parts/links'
import { State } from '../parts/state'
import { count, digest, referenceName } from '../parts/words'

/** What code runs here, what it asks for, and who gave it permission. */
export default function Plugins() {
  const plugins = useQuery(pluginsQuery)
  return (
    <>
      <title>Plugins · Bespin</title>
      <h1>Plugins</h1>
      <Answered query={plugins} what="the plugins">
        {({ plugins, runs }) => {
          const remote = plugins.filter((plugin) => plugin.origin === 'registry')
          const builtIn = plugins.filter((plugin) => plugin.origin === 'built-in')
          return (
            <>
              <Panel
                title="From registries"
                side={<span className="faint">used by the newest {count(runs, 'run')} or by the configuration</span>}
              >
                {remote.length === 0 && (
                  <Empty title="Nothing used a plugin of a registry lately">
                    Name one in a step, <code>uses: host/name:tag</code>, pin it by <code>bespin plugin lock</code>, and
                    let the configuration trust its source: <code>[[plugin-source]]</code>.
                  </Empty>
                )}
                {remote.map((plugin) => (
                  <Plugin key={plugin.uses} plugin={plugin} />
                ))}
              </Panel>
              <Panel title="Built in" side={<span className="faint">from the server’s own folder</span>}>
                {builtIn.length === 0 && <Empty title="None is loaded">The server was started without plugins.</Empty>}
                {builtIn.map((plugin) => (
                  <Plugin key={plugin.uses} plugin={plugin} />
                ))}
              </Panel>
            </>
          )
        }}
      </Answered>
    </>
  )
}

function Plugin({ plugin }: { plugin: PluginView }) {
  const asked = plugin.asks.filter((ask) => !ask.free)
  return (
    <article className="row">
      <header>
        <span className="title" title={plugin.uses}>
          {referenceName(plugin.uses)}
        </span>
        {plugin.digest === null && <State word="not loaded" />}
        {plugin.signer !== null && <span className="faint">signed by {plugin.signer}</span>}
      </header>
      <p className="facts">
        {plugin.world !== null && <span>{plugin.world === 'step' ? 'a step' : `of the world ${plugin.world}`}</span>}
        {plugin.digest !== null && <Digest of="component" value={plugin.digest} />}
        {plugin.manifest !== null && <Digest of="manifest" value={plugin.manifest} />}
      </p>
      {plugin.digest === null && plugin.serves.length === 0 && (
        <p className="faint">
          It was not loaded since the server started, or it was refused: the log of its step says why.
        </p>
      )}
      {plugin.digest !== null && (
        <p className="asks">
          {asked.length === 0 && 'It asks for nothing that needs permission.'}
          {asked.map((ask) => (
            <Ask key={ask.ability} ask={ask} />
          ))}
        </p>
      )}
      {plugin.declared !== null && <Declared declared={plugin.declared} />}
      {plugin.serves.length > 0 && (
        <ul className="uses">
          {plugin.serves.map((serve) => (
            <Serve key={`${serve.table} ${serve.name}`} serve={serve} />
          ))}
        </ul>
      )}
      {plugin.used.length > 0 && (
        <ul className="uses">
          {plugin.used.map((used) => (
            <Use key={`${used.repository} ${used.file} ${used.step}`} used={used} plugin={plugin} />
          ))}
        </ul>
      )}
    </article>
  )
}

/** What a step may set, and what later steps may read of it. */
function Declared({ declared }: { declared: DeclaredView }) {
  if (declared.unchecked !== null) {
    return <p className="faint">The settings of its steps are not checked: {declared.unchecked}.</p>
  }
  const none = declared.outputs.length === 0 && declared.outputs_named_by === null
  return (
    <details>
      <summary>Settings and outputs</summary>
      <p>{declared.settings.length === 0 ? 'It has no settings.' : 'A step sets, below with:'}</p>
      <ul className="uses">
        {declared.settings.map((setting) => (
          <Setting key={`${setting.when ?? ''} ${setting.name}`} setting={setting} />
        ))}
      </ul>
      <p>{none ? 'It leaves no outputs.' : 'Later steps read, as outputs:'}</p>
      <ul className="uses">
        {declared.outputs.map((output) => (
          <li key={output.name}>
            <code>{output.name}</code> <span className="faint">{outputText(output)}</span>
          </li>
        ))}
        {declared.outputs_named_by !== null && (
          <li>
            <span>
              and what the setting <code>{declared.outputs_named_by}</code> names
            </span>
          </li>
        )}
      </ul>
    </details>
  )
}

/** What an output is, and of which steps. */
function outputText(output: OutputView): string {
  return [output.description, output.when === null ? '' : `with ${output.when}`].filter((text) => text !== '').join('; ')
}

function Setting({ setting }: { setting: SettingView }) {
  const facts = [
    setting.takes,
    setting.required ? 'required' : null,
    setting.default === null ? null : `${setting.default} when absent`,
    setting.when === null ? null : `with ${setting.when}`,
  ]
  return (
    <li>
      <span>
        <code>{setting.name}</code> {facts.filter((fact) => fact !== null).join(', ')}
      </span>
      <span className="faint">{setting.description}</span>
    </li>
  )
}

/** What a row of the configuration has a plugin do. */
const duties: Record<string, string> = {
  health: 'judges every',
  generate: 'makes the manifests of Applications that name',
  route: 'shares the traffic of Rollouts that name',
}

function Serve({ serve }: { serve: ServeView }) {
  const grants = Object.entries(serve.grants)
  return (
    <li>
      <span>
        {duties[serve.table] ?? serve.table} <code>{serve.name}</code> <span className="faint">by the configuration</span>
      </span>
      {grants.length > 0 && (
        <span>
          {grants.map(([ability, values]) => (
            <code key={ability} className="grant">
              {ability}: {values.join(', ')}
            </code>
          ))}
        </span>
      )}
      {serve.trouble !== null && <span className="faint">{serve.trouble}</span>}
    </li>
  )
}

function Ask({ ask }: { ask: AskView }) {
  return (
    <span>
      <code>{ask.ability}</code> it {ask.means}
    </span>
  )
}

function Digest({ of, value }: { of: string; value: string }) {
  return (
    <span>
      {of}{' '}
      <code className="sha" title={value}>
        {digest(value)}
      </code>
    </span>
  )
}

/** `row 2 of the policy, once ann or bob has approved the step`. */
function row({ number, approved_by, approved }: RowView) {
  if (approved_by.length === 0) return `row ${number} of the policy`
  return approved === null
    ? `row ${number} of the policy, once ${approved_by.join(' or ')} has approved the step`
    : `row ${number} of the policy, as ${approved} approved the step`
}

function Use({ used, plugin }: { used: UseView; plugin: PluginView }) {
  const grants = Object.entries(used.grants)
  const needs = plugin.asks.some((ask) => !ask.free)
  const permission =
    plugin.digest === null
      ? 'which the policy gives only to what is loaded'
      : used.rows.length === 0
        ? 'no row of the policy gives it permission'
        : `by ${used.rows.map(row).join('; ')}`
  return (
    <li>
      <span>
        <StreamLink stream={`run/${used.run}`}>
          {used.pipeline} · {used.step}
        </StreamLink>{' '}
        <span className="faint">
          of {used.repository}, <Ago at={used.opened_ms} />
        </span>
      </span>
      {grants.length === 0 ? (
        <span className="faint">{needs ? 'the step grants it nothing' : 'it needs no grant'}</span>
      ) : (
        <span>
          {grants.map(([ability, values]) => (
            <code key={ability} className="grant">
              {ability}: {values.join(', ')}
            </code>
          ))}{' '}
          <span className="faint">{permission}</span>
        </span>
      )}
    </li>
  )
}
