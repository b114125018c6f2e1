import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select from '@cloudscape-design/components/select';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { useNotify } from '../../ui/Notifications';
import { heirsOf } from './roles';

const LEFTOVERS = ['keep', 'stop', 'hand_over'] as const satisfies readonly Schemas['Leftover'][];

/** Removes a member, after asking what happens to that member's workspaces in the project. */
export function RemoveMember({
  project,
  email,
}: {
  readonly project: Schemas['ProjectShown'];
  readonly email: string;
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button ariaLabel={t.money.removeMemberOf(email)} onClick={() => setOpen(true)}>
        {t.money.removeMember}
      </Button>
      {open && <Choice project={project} email={email} close={() => setOpen(false)} />}
    </>
  );
}

function Choice({
  project,
  email,
  close,
}: {
  readonly project: Schemas['ProjectShown'];
  readonly email: string;
  readonly close: () => void;
}) {
  const { notify } = useNotify();
  const { data: list = [] } = useQuery(queries.instances);
  const [leftover, setLeftover] = useState<Schemas['Leftover']>('keep');
  const [heir, setHeir] = useState<string | null>(null);
  const theirs = list.filter(
    (it) =>
      it.owner?.toLowerCase() === email.toLowerCase() &&
      it.tags['Project'] === project.name &&
      it.state !== 'terminated',
  );
  const heirs = heirsOf(project, email);
  const remove = async () => {
    const to = leftover === 'hand_over' && heir !== null ? { to: heir } : {};
    const { workspaces } = await actions.removeMember(project.id, email, {
      workspaces: leftover,
      ...to,
    });
    const names = (workspaces ?? []).map((it) => it.name);
    notify({ type: 'success', header: t.money.removed(email, names, leftover) });
  };
  return (
    <Dialog
      title={t.money.removeMemberOf(email)}
      button={t.money.removeMember}
      ready={leftover !== 'hand_over' || heir !== null}
      act={remove}
      close={close}
    >
      <FormField
        label={t.money.belongings(theirs.length)}
        description={theirs.map((it) => it.name).join(', ')}
      >
        {theirs.length > 0 && (
          <RadioGroup
            value={leftover}
            items={LEFTOVERS.map((value) => ({ value, ...t.money.leftover[value] }))}
            onChange={({ detail }) =>
              setLeftover(LEFTOVERS.find((it) => it === detail.value) ?? 'keep')
            }
          />
        )}
      </FormField>
      {leftover === 'hand_over' && (
        <FormField label={t.money.heir}>
          <Select
            selectedOption={heirs.find((it) => it.value === heir) ?? null}
            options={heirs}
            placeholder={t.settings.choose}
            empty={t.settings.nothing}
            onChange={({ detail }) => setHeir(detail.selectedOption.value ?? null)}
          />
        </FormField>
      )}
    </Dialog>
  );
}
