import { useState } from 'react'
import type { EntryView } from '../api/types'
import { Ago, Empty, Json } from './bits'
import { author, brief, short } from './words'

/** A journal, entry by entry, newest first. */
export function Journal({ entries }: { entries: EntryView[] }) {
  const [search, setSearch] = useState('')
  if (entries.length === 0) {
    return (
      <Empty title="Nothing was recorded yet">An entry appears with the first thing that this stage decides.</Empty>
    )
  }
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const shown = entries
    .filter((entry) => {
      const text = `${entry.kind} ${entry.by} ${entry.stream} ${JSON.stringify(entry.body)}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    .reverse()
  return (
    <div className="journal">
      <input
        type="search"
        data-search
        aria-label="search the journal"
        placeholder="Search the journal (press /)"
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      {shown.length === 0 && <p className="faint">No entry holds these words.</p>}
      <ol>
        {shown.map((entry) => (
          <li key={entry.seq} id={`entry-${entry.seq}`}>
            <details>
              <summary data-row>
                <span className="num faint">{entry.seq}</span>
                <strong>{entry.kind}</strong>
                <span className="grow faint">{gist(entry)}</span>
                <span>{author(entry.by)}</span>
                <Ago at={entry.at_ms} />
              </summary>
              <p className="faint">
                {entry.stream}, by {entry.by}, <a href={`#entry-${entry.seq}`}>link to this entry</a>
              </p>
              <Json value={entry.body} />
            </details>
          </li>
        ))}
      </ol>
    </div>
  )
}

/** The words of an entry that fit into its line. */
function gist({ body }: EntryView): string {
  if (typeof body !== 'object' || body === null) return ''
  const words = Object.entries(body).map(([name, value]) => word(name, value))
  return brief(words.filter(Boolean).join(' · ')).slice(0, 120)
}

function word(name: string, value: unknown): string {
  // The canary counts its steps from 0, and people do not.
  if (typeof value === 'number') return name === 'index' ? `step ${value + 1}` : `${name} ${value}`
  if (typeof value === 'string') return /^[0-9a-f]{40}$/.test(value) ? short(value) : value
  if (typeof value !== 'object' || value === null) return ''
  const { step, is, answer, outcome, commit } = value as Record<string, unknown>
  return [step, is, answer, outcome, commit]
    .filter((one) => typeof one === 'string')
    .map((one) => word(name, one))
    .join(' · ')
}
