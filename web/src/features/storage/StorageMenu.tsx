import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useState } from 'react';

import { t } from '../../strings';
import { ConfirmDialog } from '../../ui/ConfirmDialog';
import { type Field, FormDialog } from '../../ui/FormDialog';
import { useNotify } from '../../ui/Notifications';

type Values = Readonly<Record<string, string>>;

/** One action of a menu: done at once, after a form (`fields`), or after a typed name (`warning`). */
export interface StorageAction {
  readonly id: string;
  readonly text: string;
  readonly title?: string;
  readonly disabled?: boolean;
  readonly fields?: readonly Field[];
  readonly warning?: string;
  /** The name to type, if it is not that of the volume or snapshot. */
  readonly word?: string;
  readonly act: (values: Values) => Promise<unknown>;
  /** What happens once the daemon has accepted it, as the rest of a sentence. */
  readonly done: (values: Values) => string;
}

/** The menu of a volume or a snapshot, and the dialogs of its actions. */
export function StorageMenu({
  name,
  actions,
}: {
  readonly name: string;
  readonly actions: readonly StorageAction[];
}) {
  const { notify, failed } = useNotify();
  const [open, setOpen] = useState<string | null>(null);
  const shown = actions.find((it) => it.id === open);
  const close = () => setOpen(null);
  const run = async (it: StorageAction, values: Values) => {
    await it.act(values);
    notify({ type: 'success', header: `${name}: ${it.done(values)}` });
  };
  const choose = (id: string) => {
    const chosen = actions.find((it) => it.id === id);
    if (chosen === undefined) return;
    if (chosen.fields !== undefined || chosen.warning !== undefined) setOpen(id);
    else {
      run(chosen, {}).catch((error: unknown) => failed(`${name}: ${chosen.text}`, error as Error));
    }
  };
  return (
    <>
      <ButtonDropdown
        variant="inline-icon"
        expandToViewport
        ariaLabel={t.storage.actionsOf(name)}
        items={actions.map(({ id, text, disabled = false }) => ({ id, text, disabled }))}
        onItemClick={({ detail }) => choose(detail.id)}
      />
      {shown?.fields !== undefined && (
        <FormDialog
          title={shown.title ?? shown.text}
          button={shown.text}
          fields={shown.fields}
          act={(values) => run(shown, values)}
          close={close}
        />
      )}
      {shown?.warning !== undefined && (
        <ConfirmDialog
          title={shown.title ?? shown.text}
          button={shown.text}
          word={shown.word ?? name}
          warning={shown.warning}
          act={() => run(shown, {})}
          close={close}
        />
      )}
    </>
  );
}
