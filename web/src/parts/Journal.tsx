import { useState } from 'react'
import type { EntryView } from '../api/types'
import { Ago, Empty, Json } from './bits'
import { author } from './words'

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
  const words: string[] = []
  for (const value of Object.values(body)) {
    if (typeof value === 'string' || typeof value === 'number') words.push(String(value))
    else if (typeof value === 'object' && value !== null && 'is' in value) words.push(String(value.is))
  }
  return words.join(' · ').slice(0, 120)
}
