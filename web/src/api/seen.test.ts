import { expect, test } from 'vitest'
import { whileSeen } from './seen'

/** A page that is hidden and shown, and how many streams it has open. */
class Page extends EventTarget {
  hidden = false
  streams = 0
  turn(hidden: boolean) {
    this.hidden = hidden
    this.dispatchEvent(new Event('visibilitychange'))
  }
}

const follow = (page: Page) =>
  whileSeen(
    () => (page.streams = 1),
    () => (page.streams = 0),
    page as unknown as Document,
  )

test('a hidden page holds no connection, and one that is seen again follows again', () => {
  const page = new Page()
  follow(page)
  expect(page.streams).toBe(1)
  page.turn(true)
  expect(page.streams).toBe(0)
  page.turn(false)
  expect(page.streams).toBe(1)
})

test('six pages that were opened in the background hold none', () => {
  const pages = Array.from({ length: 6 }, () => new Page())
  for (const page of pages) {
    page.hidden = true
    follow(page)
  }
  expect(pages.map((page) => page.streams)).toEqual([0, 0, 0, 0, 0, 0])
})

test('what has ended follows nothing, whatever becomes of the page', () => {
  const page = new Page()
  const end = follow(page)
  end()
  page.turn(true)
  page.turn(false)
  expect(page.streams).toBe(0)
})
