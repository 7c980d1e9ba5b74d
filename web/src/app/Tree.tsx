import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef, useState } from 'react'
import type { ResourceView } from '../api/types'
import { Icon, look, State } from '../parts/state'
import { differs, resourceId, rows } from './forest'

export { resourceId } from './forest'

const ROW = 34

/** The application's resources, each beneath its owner; a thousand of them scroll as ten do. */
export function Tree({
  resources,
  chosen,
  search,
  only,
  onPick,
  onSearch,
  onOnly,
}: {
  resources: ResourceView[]
  chosen: string | undefined
  search: string
  only: boolean
  onPick: (resource: ResourceView) => void
  onSearch: (search: string) => void
  onOnly: (only: boolean) => void
}) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set())
  const box = useRef<HTMLDivElement>(null)
  const shown = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean)
    const keep = (resource: ResourceView) => {
      const text =
        `${resource.kind} ${resource.name} ${resource.namespace} ${resource.health} ${resource.sync}`.toLowerCase()
      return (!only || differs(resource)) && words.every((word) => text.includes(word))
    }
    return rows(resources, keep, closed)
  }, [resources, search, only, closed])
  // eslint-disable-next-line react-hooks/incompatible-library -- the virtual list changes with its scrolling, and is not memoized.
  const list = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  })
  const turn = (id: string) =>
    setClosed((before) => {
      const after = new Set(before)
      if (!after.delete(id)) after.add(id)
      return after
    })
  const differing = resources.filter(differs).length
  return (
    <>
      <div className="tree-bar">
        <input
          type="search"
          data-search
          aria-label="search the resources"
          placeholder="Kind, name, health (press /)"
          value={search}
          onChange={(event) => onSearch(event.target.value)}
        />
        <label>
          <input type="checkbox" checked={only} onChange={(event) => onOnly(event.target.checked)} /> only the{' '}
          {differing} not as git says
        </label>
      </div>
      {shown.length === 0 && <p className="faint pad">No resource is like that.</p>}
      <div ref={box} className="tree" style={{ height: Math.min(shown.length, 24) * ROW }}>
        <div className="tree-all" style={{ height: list.getTotalSize() }}>
          {list.getVirtualItems().map((item) => {
            const branch = shown[item.index]
            if (branch === undefined) return null
            const { resource, depth, children } = branch
            const id = resourceId(resource)
            return (
              <div
                key={item.key}
                className={`tree-row depth-${Math.min(depth, 5)}`}
                style={{ transform: `translateY(${item.start}px)`, height: ROW }}
              >
                {children > 0 ? (
                  <button
                    type="button"
                    className="twist quiet"
                    aria-expanded={!closed.has(id)}
                    aria-label={`${closed.has(id) ? 'show' : 'hide'} what ${resource.name} owns`}
                    onClick={() => turn(id)}
                  >
                    {closed.has(id) ? '▸' : '▾'}
                  </button>
                ) : (
                  <span className="twist" />
                )}
                <button
                  type="button"
                  data-row
                  className="tree-name"
                  aria-pressed={chosen === id}
                  onClick={() => onPick(resource)}
                >
                  <span className="kind">{resource.kind}</span>
                  <span className="name">{resource.name}</span>
                  <span className="marks">
                    {differs(resource) ? (
                      <State word={resource.sync} />
                    ) : (
                      <span title={look(resource.sync).text}>
                        <Icon word={resource.sync} />
                        <span className="hidden">{look(resource.sync).text}</span>
                      </span>
                    )}
                    {resource.health !== '' && <State word={resource.health} />}
                  </span>
                </button>
              </div>
            )
          })}
        </div>
      </div>
    </>
  )
}
