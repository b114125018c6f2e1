import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import DateInput from '@cloudscape-design/components/date-input';
import FormField from '@cloudscape-design/components/form-field';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select from '@cloudscape-design/components/select';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import type { Field } from '../../ui/FormDialog';
import { useNotify } from '../../ui/Notifications';
import { endOfDay, lastDay } from './lastDay';
import { heirsOf } from './roles';

type AtEnd = Schemas['Leftover'];
const CHOICES = ['stop', 'hand_over', 'keep'] as const satisfies readonly AtEnd[];

/** The field of a form for the last day of a new membership. */
export const LAST_DAY: Field = {
  id: 'day',
  label: t.memberEnd.lastDay,
  what: t.memberEnd.optional,
  optional: true,
};

/** The end of a new membership in a request, by what was typed into that field. */
export function untilDay(day: string): { readonly until?: string } {
  if (day === '') return {};
  const until = endOfDay(day);
  if (until === null) throw new Error(t.memberEnd.noDay(day));
  return { until };
}

/** Sets, changes or removes the end of a membership, and asks what happens to the workspaces then. */
export function MemberEnd({
  project,
  member,
}: {
  readonly project: Schemas['ProjectShown'];
  readonly member: Schemas['Member'];
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button ariaLabel={t.memberEnd.setOf(member.email)} onClick={() => setOpen(true)}>
        {t.memberEnd.button}
      </Button>
      {open && <EndForm project={project} member={member} close={() => setOpen(false)} />}
    </>
  );
}

function EndForm({
  project,
  member,
  close,
}: {
  readonly project: Schemas['ProjectShown'];
  readonly member: Schemas['Member'];
  readonly close: () => void;
}) {
  const { notify } = useNotify();
  const [day, setDay] = useState(member.until ? lastDay(member.until) : '');
  const [atEnd, setAtEnd] = useState<AtEnd>(member.at_end ?? 'stop');
  const [heir, setHeir] = useState<string | null>(member.to ?? null);
  const heirs = heirsOf(project, member.email);
  const until = endOfDay(day);
  const set = async () => {
    if (until === null) {
      await actions.changeEnd(project.id, member.email, { until: null });
      notify({ type: 'success', header: t.memberEnd.removed(member.email) });
      return;
    }
    const to = atEnd === 'hand_over' ? { to: heir } : {};
    await actions.changeEnd(project.id, member.email, { until, at_end: atEnd, ...to });
    notify({ type: 'success', header: t.memberEnd.set(member.email, day) });
  };
  return (
    <Dialog
      title={t.memberEnd.of(member.email)}
      button={t.save}
      ready={(day === '' || until !== null) && (atEnd !== 'hand_over' || heir !== null)}
      act={set}
      close={close}
    >
      <FormField
        label={t.memberEnd.lastDay}
        description={t.expiry.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}
      >
        <DateInput
          value={day}
          placeholder="YYYY/MM/DD"
          onChange={({ detail }) => setDay(detail.value)}
        />
      </FormField>
      {until === null ? (
        <Alert type="info">{t.memberEnd.noEnd}</Alert>
      ) : (
        <FormField label={t.memberEnd.then} description={t.memberEnd.thenWhat}>
          <RadioGroup
            value={atEnd}
            items={CHOICES.map((value) => ({ value, ...t.money.leftover[value] }))}
            onChange={({ detail }) =>
              setAtEnd(CHOICES.find((choice) => choice === detail.value) ?? 'stop')
            }
          />
        </FormField>
      )}
      {until !== null && atEnd === 'hand_over' && (
        <FormField label={t.money.heir}>
          <Select
            selectedOption={heirs.find((option) => option.value === heir) ?? null}
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
