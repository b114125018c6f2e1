import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import DateInput from '@cloudscape-design/components/date-input';
import FormField from '@cloudscape-design/components/form-field';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
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

/** What a form says about the end of a membership; `day` is as typed. */
export interface End {
  readonly day: string;
  readonly atEnd: AtEnd;
  readonly heir: string | null;
}
export const WITHOUT_END: End = { day: '', atEnd: 'stop', heir: null };

/** Whether it can be sent: no day, or one that exists, and an heir if one is needed. */
export function isComplete({ day, atEnd, heir }: End): boolean {
  return (day === '' || endOfDay(day) !== null) && (atEnd !== 'hand_over' || heir !== null);
}

/** What happens at the end, in a request. */
export function atEndOf({ atEnd, heir }: End) {
  return { at_end: atEnd, ...(atEnd === 'hand_over' && heir !== null ? { to: heir } : {}) };
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
  const [end, setEnd] = useState<End>({
    day: member.until ? lastDay(member.until) : '',
    atEnd: member.at_end ?? 'stop',
    heir: member.to ?? null,
  });
  const until = endOfDay(end.day);
  const set = async () => {
    if (until === null) {
      await actions.changeEnd(project.id, member.email, { until: null });
      notify({ type: 'success', header: t.memberEnd.removed(member.email) });
      return;
    }
    await actions.changeEnd(project.id, member.email, { until, ...atEndOf(end) });
    notify({ type: 'success', header: t.memberEnd.set(member.email, end.day) });
  };
  return (
    <Dialog
      title={t.memberEnd.of(member.email)}
      button={t.save}
      ready={isComplete(end)}
      act={set}
      close={close}
    >
      <EndFields
        end={end}
        change={setEnd}
        heirs={heirsOf(project, member.email)}
        then={t.memberEnd.then}
        asks={until !== null}
      />
    </Dialog>
  );
}

/** The last day, and if it `asks`, what happens to the workspaces then. */
export function EndFields({
  end,
  change,
  heirs,
  then,
  asks,
}: {
  readonly end: End;
  readonly change: (end: End) => void;
  readonly heirs: readonly { readonly value: string; readonly label: string }[];
  readonly then: string;
  readonly asks: boolean;
}) {
  return (
    <SpaceBetween size="m">
      <FormField
        label={t.memberEnd.lastDay}
        description={t.expiry.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}
      >
        <DateInput
          value={end.day}
          placeholder="YYYY/MM/DD"
          onChange={({ detail }) => change({ ...end, day: detail.value })}
        />
      </FormField>
      {!asks ? (
        <Alert type="info">{t.memberEnd.noEnd}</Alert>
      ) : (
        <FormField label={then} description={t.memberEnd.thenWhat}>
          <RadioGroup
            value={end.atEnd}
            items={CHOICES.map((value) => ({ value, ...t.money.leftover[value] }))}
            onChange={({ detail }) =>
              change({
                ...end,
                atEnd: CHOICES.find((choice) => choice === detail.value) ?? 'stop',
              })
            }
          />
        </FormField>
      )}
      {asks && end.atEnd === 'hand_over' && (
        <FormField label={t.money.heir}>
          <Select
            selectedOption={heirs.find((option) => option.value === end.heir) ?? null}
            options={heirs}
            placeholder={t.settings.choose}
            empty={t.settings.nothing}
            onChange={({ detail }) => change({ ...end, heir: detail.selectedOption.value ?? null })}
          />
        </FormField>
      )}
    </SpaceBetween>
  );
}
