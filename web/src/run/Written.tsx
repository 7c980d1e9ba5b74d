import { Copy, Json } from '../parts/bits'

/** Named values as the pipeline or the plugin wrote them. */
export function Values({ values, none }: { values: Record<string, unknown>; none: string }) {
  const entries = Object.entries(values)
  if (entries.length === 0) return <p className="faint">{none}</p>
  return (
    <dl className="values">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <Json value={value} /> {typeof value === 'string' && <Copy text={value} what={name} />}
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** Grants as the pipeline writes them, by ability. */
export function Granted({ grants }: { grants: Record<string, string[]> }) {
  const entries = Object.entries(grants)
  if (entries.length === 0) return <p>Nothing: it may log, and use its workspace, artifacts and cache.</p>
  return (
    <dl className="values">
      {entries.map(([ability, values]) => (
        <div key={ability}>
          <dt>{ability}</dt>
          <dd>
            {values.map((value) => (
              <Json key={value} value={value} />
            ))}
          </dd>
        </div>
      ))}
    </dl>
  )
}
