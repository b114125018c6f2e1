import Alert from '@cloudscape-design/components/alert';
import DateInput from '@cloudscape-design/components/date-input';
import FormField from '@cloudscape-design/components/form-field';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TimeInput from '@cloudscape-design/components/time-input';
import { useState } from 'react';

import type { Instance } from '../../api/client';
import { useNow } from '../../lib/now';
import { useExpiry } from '../../lib/useExpiry';
import { useVerbs } from '../../lib/useVerbs';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { runsLonger } from './board';

const KINDS = ['now', 'at'] as const;
type Kind = (typeof KINDS)[number];
const HOUR = 3_600_000; // milliseconds

/** Stops the workspaces of a class, now or at a time. */
export default function StopDialog({
  workspaces,
  close,
}: {
  readonly workspaces: readonly Instance[];
  readonly close: () => void;
}) {
  const run = useVerbs();
  const setExpiry = useExpiry();
  const now = useNow();
  const [list] = useState(workspaces); // those that it was opened for
  const [kind, setKind] = useState<Kind>('now');
  const [proposal] = useState(() => nextHour(now));
  const [date, setDate] = useState(proposal.date);
  const [time, setTime] = useState(proposal.time);
  const at = new Date(`${date.replaceAll('/', '-')}T${time}`);
  const late = Number.isNaN(at.getTime()) || at.getTime() <= now;
  const later = late ? [] : runsLonger(list, at);
  return (
    <Dialog
      title={t.classes.stopTitle(list.length)}
      button={t.verbs.stop}
      ready={kind === 'now' || later.length > 0}
      act={() =>
        kind === 'now' ? run('stop', list) : setExpiry(later, { expires_at: at.toISOString() })
      }
      close={close}
    >
      <SpaceBetween size="m">
        <RadioGroup
          ariaLabel={t.classes.when}
          value={kind}
          onChange={({ detail }) => setKind(KINDS.find((it) => it === detail.value) ?? 'now')}
          items={KINDS.map((it) => ({ value: it, ...t.classes[it] }))}
        />
        {kind === 'at' && (
          <SpaceBetween size="m">
            <FormField
              label={t.expiry.day}
              description={t.expiry.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}
              errorText={late && t.expiry.past}
            >
              <DateInput
                placeholder="YYYY/MM/DD"
                value={date}
                onChange={({ detail }) => setDate(detail.value)}
              />
            </FormField>
            <FormField label={t.expiry.clock}>
              <TimeInput
                format="hh:mm"
                value={time}
                onChange={({ detail }) => setTime(detail.value)}
              />
            </FormField>
            {!late && later.length === 0 && <Alert type="info">{t.classes.noneLater}</Alert>}
          </SpaceBetween>
        )}
      </SpaceBetween>
    </Dialog>
  );
}

/** The next full hour, on this computer's clock. */
function nextHour(now: number): { readonly date: string; readonly time: string } {
  const at = new Date(Math.ceil((now + 1) / HOUR) * HOUR);
  const two = (value: number) => String(value).padStart(2, '0');
  return {
    date: `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`,
    time: `${two(at.getHours())}:00`,
  };
}
