import { useVirtualizer } from '@tanstack/react-virtual'
import Anser from 'anser'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Line } from '../api/types'
import { logPath } from '../api/client'
import { Empty } from '../parts/bits'
import { useLog } from './useLog'
import '../style/log.css'

/** A log of any length, live: only what is seen is drawn. */
export default function Log({
  run,
  step,
  attempt,
  attempts,
  line,
  onAttempt,
  onLine,
}: {
  run: string
  step: string
  attempt: number
  attempts: number[]
  line: number | undefined
  onAttempt: (attempt: number) => void
  onLine: (line: number) => void
}) {
  const path = logPath(run, step, attempt)
  const { lines, ended, lost } = useLog(path)
  const [search, setSearch] = useState('')
  const [wrap, setWrap] = useState(true)
  const [follow, setFollow] = useState(line === undefined)
  const box = useRef<HTMLDivElement>(null)
  const shown = useMemo(() => {
    const word = search.toLowerCase()
    return word === '' ? lines : lines.filter((line) => line.text.toLowerCase().includes(word))
  }, [lines, search])
  // eslint-disable-next-line react-hooks/incompatible-library -- the virtual list changes with its scrolling, and is not memoized.
  const list = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => 20,
    overscan: 24,
  })
  useEffect(() => {
    if (follow && shown.length > 0) list.scrollToIndex(shown.length - 1, { align: 'end' })
  }, [follow, shown.length, list])
  const landed = useRef(false)
  useEffect(() => {
    if (line === undefined || landed.current || lines.length < line) return
    landed.current = true
    list.scrollToIndex(line - 1, { align: 'center' })
  }, [line, lines.length, list])
  return (
    <div className="log">
      <div className="log-bar">
        <input
          type="search"
          data-search
          aria-label="search the log"
          placeholder="Search (press /)"
          value={search}
          onChange={(event) => {
            setFollow(false)
            setSearch(event.target.value)
          }}
        />
        {attempts.length > 1 && (
          <select aria-label="attempt" value={attempt} onChange={(event) => onAttempt(Number(event.target.value))}>
            {attempts.map((one) => (
              <option key={one} value={one}>
                attempt {one}
              </option>
            ))}
          </select>
        )}
        <label>
          <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.target.checked)} /> wrap
        </label>
        <label>
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.target.checked)} /> follow
        </label>
        <a href={`${path}.txt`} download>
          download
        </a>
      </div>
      {lines.length === 0 ? (
        <Empty title={ended ? 'It wrote nothing' : 'No line yet'}>
          {ended ? 'The attempt ended without a word.' : 'Lines appear here as the step writes them.'}
        </Empty>
      ) : (
        <div
          ref={box}
          className={wrap ? 'log-box wrap' : 'log-box'}
          tabIndex={0}
          role="log"
          aria-live="off"
          aria-label={`log of ${step}`}
        >
          <div className="log-all" style={{ height: list.getTotalSize() }}>
            {list.getVirtualItems().map((item) => {
              const shownLine = shown[item.index]
              return (
                shownLine !== undefined && (
                  <div
                    key={item.key}
                    ref={list.measureElement}
                    data-index={item.index}
                    className={`log-line level-${shownLine.level} ${shownLine.n === line ? 'is-chosen' : ''}`}
                    style={{ transform: `translateY(${item.start}px)` }}
                  >
                    <Numbered line={shownLine} onLine={onLine} />
                  </div>
                )
              )
            })}
          </div>
        </div>
      )}
      <p className="log-foot faint" role="status">
        <span className="num">
          {search === '' ? `${lines.length} lines` : `${shown.length} of ${lines.length} lines`}
        </span>
        {lost ? ', the connection was lost and is tried again' : ended ? ', ended' : ', live'}
      </p>
    </div>
  )
}

function Numbered({ line, onLine }: { line: Line; onLine: (line: number) => void }) {
  const pieces = line.text.includes('\u001b')
    ? Anser.ansiToJson(line.text, { use_classes: true, remove_empty: true })
    : null
  return (
    <>
      <button
        type="button"
        className="log-n num"
        tabIndex={-1}
        title={`${new Date(line.at).toLocaleString()}: link to this line`}
        onClick={() => onLine(line.n)}
      >
        {line.n}
      </button>
      <span className="log-text">
        {pieces === null
          ? line.text
          : pieces.map((piece, at) => (
              <span
                key={at}
                className={[piece.fg, piece.bg && `${piece.bg}-bg`, ...piece.decorations].filter(Boolean).join(' ')}
              >
                {piece.content}
              </span>
            ))}
      </span>
    </>
  )
}
