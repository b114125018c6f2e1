import Alert from '@cloudscape-design/components/alert';
import DateInput from '@cloudscape-design/components/date-input';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TimeInput from '@cloudscape-design/components/time-input';
import { useState } from 'react';

import type { Expiry } from '../../api/actions';
import type { Instance } from '../../api/client';
import { moment } from '../../lib/format';
import { useNow } from '../../lib/now';
import { useExpiry } from '../../lib/useExpiry';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';

const LONGEST = 8760; // hours, by the API
const KINDS = ['hours', 'time', 'never'] as const;
type Kind = (typeof KINDS)[number];

/** Sets when workspaces expire: so much later, at a time, or never. */
export default function ExpiryDialog({
  instances,
  close,
}: {
  readonly instances: readonly Instance[];
  readonly close: () => void;
}) {
  const setExpiry = useExpiry();
  const now = useNow();
  const [list] = useState(instances); // those that it was opened for
  const endless = list.filter((it) => it.expires_at === null);
  const [kind, setKind] = useState<Kind>(endless.length > 0 ? 'never' : 'hours');
  const [hours, setHours] = useState('4');
  const [date, setDate] = useState('');
  const [time, setTime] = useState('18:00');
  const [only] = list;
  const at = new Date(`${date}T${time}`);
  const late = Number.isNaN(at.getTime()) || at.getTime() <= now;
  const wrong = !Number.isInteger(Number(hours)) || Number(hours) < 1 || Number(hours) > LONGEST;
  const wanted: Record<Kind, Expiry | null> = {
    hours: wrong ? null : { hours: Number(hours) },
    time: late ? null : { expires_at: at.toISOString() },
    never: endless.length === list.length ? null : { hours: null },
  };
  const expiry = wanted[kind];
  return (
    <Dialog
      title={t.expiry.title(list.map((it) => it.name))}
      button={t.expiry.set}
      ready={expiry !== null}
      act={async () => {
        if (expiry !== null) await setExpiry(list, expiry);
      }}
      close={close}
    >
      <SpaceBetween size="m">
        {only !== undefined && list.length === 1 && t.expiry.now(moment(only.expires_at))}
        <RadioGroup
          ariaLabel={t.expiry.title(list.map((it) => it.name))}
          value={kind}
          onChange={({ detail }) => setKind(KINDS.find((it) => it === detail.value) ?? 'never')}
          items={KINDS.map((it) => ({ value: it, ...t.expiry.kinds[it] }))}
        />
        {kind === 'hours' && (
          <FormField label={t.expiry.hours} errorText={wrong && t.expiry.wrong(LONGEST)}>
            <Input type="number" value={hours} onChange={({ detail }) => setHours(detail.value)} />
          </FormField>
        )}
        {kind === 'time' && (
          <>
            <FormField
              label={t.expiry.day}
              description={t.expiry.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}
              errorText={date !== '' && late && t.expiry.past}
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
          </>
        )}
        {kind !== 'never' && endless.length > 0 && (
          <Alert type="warning">{t.expiry.begins(endless.map((it) => it.name))}</Alert>
        )}
      </SpaceBetween>
    </Dialog>
  );
}
