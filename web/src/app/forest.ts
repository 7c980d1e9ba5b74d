import type { ResourceView } from '../api/types'

/** A row of the tree. */
export interface Branch {
  resource: ResourceView
  depth: number
  children: number
}

/** `kind/namespace/name`, as the address carries it. */
export const resourceId = (resource: ResourceView) => `${resource.kind}/${resource.namespace}/${resource.name}`

/** Whether a resource is not as git says. */
export const differs = ({ sync }: ResourceView) => sync === 'out-of-sync' || sync === 'missing' || sync === 'extra'

/**
 * The resources as rows, children beneath their owner. With a filter, the
 * owners of what is kept are kept as well, so that it is seen where it hangs.
 */
export function rows(
  resources: ResourceView[],
  keep: (resource: ResourceView) => boolean,
  closed: ReadonlySet<string>,
): Branch[] {
  const known = new Set(resources.map((resource) => `${resource.kind}/${resource.name}`))
  const children = new Map<string, ResourceView[]>()
  const roots: ResourceView[] = []
  for (const resource of resources) {
    const self = `${resource.kind}/${resource.name}`
    if (resource.parent === '' || resource.parent === self || !known.has(resource.parent)) roots.push(resource)
    else children.set(resource.parent, [...(children.get(resource.parent) ?? []), resource])
  }
  const visit = (resource: ResourceView, depth: number, above: ReadonlySet<string>): Branch[] => {
    const self = `${resource.kind}/${resource.name}`
    // A wheel of owners would never end.
    if (above.has(self)) return []
    const own = children.get(self) ?? []
    const inside = new Set(above).add(self)
    const below = own.flatMap((child) => visit(child, depth + 1, inside))
    if (below.length === 0 && !keep(resource)) return []
    return [{ resource, depth, children: own.length }, ...(closed.has(resourceId(resource)) ? [] : below)]
  }
  return roots.flatMap((root) => visit(root, 0, new Set()))
}
