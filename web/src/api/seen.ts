/** What is used of a document. */
type Page = Pick<Document, 'hidden' | 'addEventListener' | 'removeEventListener'>

/**
 * Has something open while the page is seen, for browsers allow only six connections to one server and a hidden page
 * needs none. `open` is called whenever the page comes back. Returns what ends it.
 */
export function whileSeen(open: () => void, close: () => void, page: Page = document): () => void {
  const look = () => {
    if (page.hidden) close()
    else open()
  }
  look()
  page.addEventListener('visibilitychange', look)
  return () => {
    page.removeEventListener('visibilitychange', look)
    close()
  }
}
