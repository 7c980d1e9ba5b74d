import { useMemo, useState } from 'react'
import { fold, sideBySide, type Side } from './sides'

/** Two texts side by side; what is equal far from a difference is folded. */
export function Diff({
  left,
  right,
  leftName,
  rightName,
  note,
}: {
  left: string
  right: string
  leftName: string
  rightName: string
  note?: string | ((differing: number) => string) | undefined
}) {
  const [whole, setWhole] = useState(false)
  const rows = useMemo(() => sideBySide(left, right), [left, right])
  const differing = rows.filter((row) => !row.same).length
  const one = left === '' || right === ''
  const folded = whole || one || differing === 0 ? rows : fold(rows, 3)
  return (
    <div className={one ? 'diff one' : 'diff'}>
      <p className="diff-head">
        <span className="grow">
          {typeof note === 'string'
            ? note
            : differing === 0
              ? 'No line differs.'
              : (note?.(differing) ?? `${differing} ${differing === 1 ? 'line differs' : 'lines differ'}.`)}
        </span>
        {!one && differing > 0 && (
          <label>
            <input type="checkbox" checked={whole} onChange={(event) => setWhole(event.target.checked)} /> all lines
          </label>
        )}
      </p>
      <div className="diff-box" tabIndex={0} role="group" aria-label={`${leftName} beside ${rightName}`}>
        <table>
          <colgroup>
            {[left, right].map(
              (side, at) => side !== '' && [<col key={`n${at}`} className="diff-n" />, <col key={`t${at}`} />],
            )}
          </colgroup>
          <thead>
            <tr>
              {left !== '' && (
                <th colSpan={2} scope="col">
                  {leftName}
                </th>
              )}
              {right !== '' && (
                <th colSpan={2} scope="col">
                  {rightName}
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {folded.map((row, at) =>
              'folded' in row ? (
                <tr key={at} className="diff-fold">
                  <td colSpan={4}>
                    <button type="button" className="link" onClick={() => setWhole(true)}>
                      {row.folded} equal {row.folded === 1 ? 'line' : 'lines'}
                    </button>
                  </td>
                </tr>
              ) : (
                <tr key={at} className={row.same || one ? '' : 'diff-changed'}>
                  {left !== '' && (
                    <Cell side={row.left} mark={row.same || one ? '' : '−'} tone={row.same || one ? '' : 'gone'} />
                  )}
                  {right !== '' && (
                    <Cell side={row.right} mark={row.same || one ? '' : '+'} tone={row.same || one ? '' : 'come'} />
                  )}
                </tr>
              ),
            )}
          </tbody>
        </table>
      </div>
    </div>
  )
}

function Cell({ side, mark, tone }: { side: Side | null; mark: string; tone: string }) {
  if (side === null) return <td colSpan={2} className="diff-none" />
  return (
    <>
      <td className={`diff-n num ${tone}`}>{side.n}</td>
      <td className={`diff-text ${tone}`}>
        <span className="diff-mark">{mark}</span>
        {tone === ''
          ? side.pieces.map((piece) => piece.text).join('')
          : side.pieces.map((piece, at) =>
              piece.changed ? <mark key={at}>{piece.text}</mark> : <span key={at}>{piece.text}</span>,
            )}
      </td>
    </>
  )
}
