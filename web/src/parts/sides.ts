import { diffLines, diffWordsWithSpace } from 'diff'

/** A piece of a line; `changed` where the two sides differ. */
export interface Piece {
  text: string
  changed: boolean
}

/** One side of a row: its line number and what it says; absent where only the other side has a line. */
export interface Side {
  n: number
  pieces: Piece[]
}

export interface Row {
  left: Side | null
  right: Side | null
  same: boolean
}

/** Two texts beside each other, line by line; a line that was changed stands beside what it became. */
export function sideBySide(left: string, right: string): Row[] {
  const rows: Row[] = []
  let [leftN, rightN] = [1, 1]
  const parts = diffLines(left, right)
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at]
    if (part === undefined) continue
    if (!part.added && !part.removed) {
      for (const text of lines(part.value)) {
        const pieces = [{ text, changed: false }]
        rows.push({ left: { n: leftN++, pieces }, right: { n: rightN++, pieces }, same: true })
      }
      continue
    }
    const next = parts[at + 1]
    const paired = part.removed && next?.added === true
    const removed = part.removed ? lines(part.value) : []
    const added = paired ? lines(next.value) : part.added ? lines(part.value) : []
    if (paired) at++
    for (let row = 0; row < Math.max(removed.length, added.length); row++) {
      const [before, after] = [removed[row], added[row]]
      const words = before !== undefined && after !== undefined ? diffWordsWithSpace(before, after) : []
      const side = (text: string, skip: 'added' | 'removed'): Piece[] =>
        words.length === 0
          ? [{ text, changed: false }]
          : words
              .filter((word) => !word[skip])
              .map((word) => ({ text: word.value, changed: word.added || word.removed }))
      rows.push({
        left: before === undefined ? null : { n: leftN++, pieces: side(before, 'added') },
        right: after === undefined ? null : { n: rightN++, pieces: side(after, 'removed') },
        same: false,
      })
    }
  }
  return rows
}

const lines = (text: string) => text.replace(/\n$/, '').split('\n')

/** Rows, or how many equal rows are folded away in their place. */
export type Folded = Row | { folded: number; at: number }

/** Keeps `around` equal rows on each side of a difference. */
export function fold(rows: Row[], around: number): Folded[] {
  const near = rows.map(() => false)
  rows.forEach((row, at) => {
    if (row.same) return
    for (let by = -around; by <= around; by++) if (at + by in near) near[at + by] = true
  })
  const folded: Folded[] = []
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]
    if (row === undefined) continue
    const last = folded.at(-1)
    if (near[at] === true) folded.push(row)
    else if (last !== undefined && 'folded' in last) last.folded++
    else folded.push({ folded: 1, at })
  }
  return folded
}
