import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { lazy, Suspense, useState } from 'react';

import { LIFECYCLE } from '../../../api/actions';
import type { Instance } from '../../../api/client';
import { allows } from '../../../lib/states';
import type { Target } from '../../../lib/useEach';
import { useVerbs } from '../../../lib/useVerbs';
import { t } from '../../../strings';

const ExpiryDialog = lazy(() => import('../ExpiryDialog'));
const TerminateDialog = lazy(() => import('../TerminateDialog'));

/** What can be done to the selected workspaces; each verb goes to those that allow it. */
export function BulkActions({
  selected,
  done,
}: {
  readonly selected: readonly Instance[];
  readonly done: (gone: readonly Target[]) => void;
}) {
  const run = useVerbs();
  const [dialog, setDialog] = useState<'terminate' | 'expiry' | null>(null);
  const that = (verb: Parameters<typeof allows>[1]) => selected.filter((it) => allows(it, verb));
  const choose = (id: string) => {
    const verb = LIFECYCLE.find((it) => it === id);
    if (verb !== undefined) void run(verb, that(verb));
    else setDialog(id === 'expiry' ? 'expiry' : 'terminate');
  };
  const close = () => setDialog(null);
  return (
    <>
      <ButtonDropdown
        disabled={selected.length === 0}
        onItemClick={({ detail }) => choose(detail.id)}
        items={[
          ...LIFECYCLE.map((verb) => ({
            id: verb,
            text: t.workspaces.verbOf(t.verbs[verb], that(verb).length),
            disabled: that(verb).length === 0,
          })),
          { id: 'expiry', text: t.workspaces.verbOf(t.expiry.button, selected.length) },
          {
            id: 'terminate',
            text: t.workspaces.verbOf(t.verbs.terminate, that('terminate').length),
            disabled: that('terminate').length === 0,
          },
        ]}
      >
        {t.workspaces.actions}
      </ButtonDropdown>
      {dialog === 'terminate' && (
        <Suspense>
          <TerminateDialog instances={that('terminate')} close={close} done={done} />
        </Suspense>
      )}
      {dialog === 'expiry' && (
        <Suspense>
          <ExpiryDialog instances={selected} close={close} />
        </Suspense>
      )}
    </>
  );
}
