import { useMutation, useQueryClient } from '@tanstack/react-query'
import { logIn } from '../api/client'
import { sessionQuery } from '../api/queries'
import { Trouble } from '../parts/bits'

/** The login; what is behind it is not even asked for. */
export function Login({ version }: { version: string }) {
  const client = useQueryClient()
  const entering = useMutation({
    mutationFn: ({ name, password }: { name: string; password: string }) => logIn(name, password),
    onSuccess: (session) => client.setQueryData(sessionQuery.queryKey, session),
  })
  return (
    <main className="alone">
      <form
        className="panel login"
        onSubmit={(event) => {
          event.preventDefault()
          const form = new FormData(event.currentTarget)
          entering.mutate({ name: String(form.get('name')), password: String(form.get('password')) })
        }}
      >
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>Bespin</h1>
        <p className="faint">From a push to a finished canary.</p>
        <label>
          Name
          <input name="name" autoComplete="username" required autoCapitalize="none" spellCheck={false} />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {entering.isError && <Trouble error={entering.error} />}
        <button className="primary" disabled={entering.isPending}>
          {entering.isPending ? 'Checking the password…' : 'Log in'}
        </button>
        <p className="faint">
          No user yet? They stand in the server’s configuration, as <code>[[user]]</code>. The demo prints a link that
          logs you in. <span className="num">{version}</span>
        </p>
      </form>
    </main>
  )
}
