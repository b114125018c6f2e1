import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useState } from 'react';

import { actions } from '../api/actions';
import { t } from '../strings';
import { Dialog } from './Dialog';
import { useNotify } from './Notifications';

const LONGEST = 8760; // hours, by the API

/** Gives workspaces more hours. */
export function ExtendDialog({
  names: given,
  close,
}: {
  readonly names: readonly string[];
  readonly close: () => void;
}) {
  const { notify, failed } = useNotify();
  const [names] = useState(given); // those that it was opened for
  const [text, setText] = useState('4');
  const hours = Number(text);
  const valid = Number.isInteger(hours) && hours >= 1 && hours <= LONGEST;
  const extend = async () => {
    for (const name of names) {
      try {
        await actions.extend(name, hours);
        notify({ type: 'success', header: t.extend.done(name, hours) });
      } catch (error) {
        failed(t.cannot('extend', [name]), error as Error);
      }
    }
  };
  return (
    <Dialog
      title={t.extend.title(names)}
      button={t.verbs.extend}
      ready={valid}
      act={extend}
      close={close}
    >
      <FormField
        label={t.extend.hours}
        description={t.extend.what}
        errorText={valid ? undefined : t.extend.wrong(LONGEST)}
      >
        <Input
          autoFocus
          type="number"
          value={text}
          onChange={({ detail }) => setText(detail.value)}
        />
      </FormField>
    </Dialog>
  );
}
