import { expect, test } from 'vitest'
import { fold, sideBySide } from './sides'

const left = 'a: 1\nb: 2\nc: 3\n'

test('a changed line stands beside what it became', () => {
  const rows = sideBySide(left, 'a: 1\nb: 5\nc: 3\n')
  expect(rows.map((row) => row.same)).toEqual([true, false, true])
  expect(rows[1]?.left?.pieces.filter((piece) => piece.changed).map((piece) => piece.text)).toEqual(['2'])
  expect(rows[1]?.right?.pieces.filter((piece) => piece.changed).map((piece) => piece.text)).toEqual(['5'])
})

test('lines of one side alone keep the numbers of the other', () => {
  const rows = sideBySide(left, 'a: 1\nb: 2\nnew: 0\nc: 3\n')
  expect(rows.map((row) => [row.left?.n, row.right?.n])).toEqual([
    [1, 1],
    [2, 2],
    [undefined, 3],
    [3, 4],
  ])
})

test('equal lines far from a difference are folded', () => {
  const many = Array.from({ length: 20 }, (_, n) => `line ${n}`).join('\n')
  const folded = fold(sideBySide(many, many.replace('line 10', 'line ten')), 2)
  expect(folded.map((row) => ('folded' in row ? row.folded : 'row'))).toEqual([8, 'row', 'row', 'row', 'row', 'row', 7])
})

test('equal texts fold to nothing else', () => {
  expect(fold(sideBySide(left, left), 2)).toEqual([{ folded: 3, at: 0 }])
})
