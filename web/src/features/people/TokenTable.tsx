import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { useMe } from '../../lib/me';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import type { Field } from '../../ui/FormDialog';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { NewToken } from './NewToken';
import { RevokeToken } from './RevokeToken';
import { RelativeTime } from '../../ui/RelativeTime';

type Token = Schemas['TokenShown'];
const SCOPES = ['read', 'operate', 'admin'] as const;
const OF_OPERATOR = ['metrics'] as const;
const DAYS = '90';
const OF_ANOTHER: Field = {
  id: 'user',
  label: t.tokens.user,
  what: t.tokens.userWhat,
  kind: 'email',
  optional: true,
};

/** The tokens of a shared daemon. A new one is in the memory of this page only, until it is closed. */
export function TokenTable({ tokens }: { readonly tokens: readonly Token[] }) {
  const { data: projects = [] } = useQuery(queries.projects);
  const me = useMe();
  const scopes = [...SCOPES, ...(me?.operator === true ? OF_OPERATOR : [])];
  const [made, setMade] = useState<Schemas['CreatedToken'] | null>(null);
  const create = (
    <DialogButton
      text={t.tokens.create}
      button={t.money.create}
      fields={[
        { id: 'name', label: t.fields.name, what: t.tokens.nameWhat },
        ...(me?.operator === true ? [OF_ANOTHER] : []),
        {
          id: 'scope',
          label: t.tokens.scope,
          value: 'operate',
          options: scopes.map((value) => ({ value, label: t.tokens.scopes[value] })),
        },
        {
          id: 'project',
          label: t.tokens.project,
          value: '',
          optional: true,
          options: [
            { value: '', label: t.tokens.everyProject },
            ...projects.map((it) => ({ value: it.name, label: it.name })),
          ],
        },
        { id: 'days', label: t.tokens.days, kind: 'number', value: DAYS },
      ]}
      act={async ({ name = '', user = '', scope, project = '', days = DAYS }) => {
        const order = {
          name,
          scope: scopes.find((it) => it === scope) ?? 'operate',
          days: Number(days),
          ...(user === '' ? {} : { user }),
          ...(project === '' ? {} : { project }),
        };
        setMade(await actions.createToken(order));
      }}
    />
  );
  return (
    <>
      <ListTable<Token>
        title={t.tokens.title}
        what={t.tokens.what}
        items={tokens}
        by="id"
        empty={t.tokens.none}
        actions={me?.scope === 'admin' && create}
        columns={[
          nameColumn(),
          { id: 'user', header: t.tokens.user, cell: (it) => it.user },
          { id: 'scope', header: t.tokens.scope, cell: (it) => t.tokens.scopes[it.scope] },
          {
            id: 'project',
            header: t.tokens.project,
            cell: (it) =>
              projects.find((project) => project.id === it.project)?.name ?? it.project ?? t.none,
          },
          {
            id: 'expires',
            header: t.fields.expires,
            cell: (it) => <RelativeTime at={it.expires_at} />,
          },
          {
            id: 'used',
            header: t.tokens.used,
            cell: (it) =>
              it.last_used === null ? t.tokens.never : <RelativeTime at={it.last_used} />,
          },
          {
            id: 'actions',
            header: t.workspaces.actions,
            cell: (it) => <RevokeToken token={it} />,
          },
        ]}
      />
      {made !== null && <NewToken made={made} close={() => setMade(null)} />}
    </>
  );
}
