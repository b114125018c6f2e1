import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import { useState } from 'react';

import { Dialog } from './Dialog';

/** One field of a dialog; with options it is a choice among them. */
export interface Field {
  readonly id: string;
  readonly label: string;
  readonly what?: string;
  readonly value?: string;
  readonly kind?: 'text' | 'number' | 'email';
  readonly options?: readonly { readonly value: string; readonly label: string }[];
  readonly optional?: boolean;
  /** It is asked for only while another field has one of these values. */
  readonly when?: { readonly id: string; readonly values: readonly string[] };
}

/** A dialog with some fields, and what is done with their values. */
export function FormDialog({
  title,
  button,
  fields: every,
  act,
  close,
}: {
  readonly title: string;
  readonly button: string;
  readonly fields: readonly Field[];
  readonly act: (values: Readonly<Record<string, string>>) => Promise<unknown>;
  readonly close: () => void;
}) {
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({});
  const valueOf = (it: Field) => typed[it.id] ?? it.value ?? '';
  const all = Object.fromEntries(every.map((it) => [it.id, valueOf(it)]));
  const fields = every.filter(
    ({ when }) => when === undefined || when.values.includes(all[when.id] ?? ''),
  );
  const values = Object.fromEntries(fields.map((it) => [it.id, valueOf(it)]));
  const ready = fields.every((it) => it.optional === true || values[it.id] !== '');
  const put = (id: string, value: string) => setTyped((before) => ({ ...before, [id]: value }));
  return (
    <Dialog title={title} button={button} close={close} ready={ready} act={() => act(values)}>
      {fields.map((it, index) => {
        const value = values[it.id] ?? '';
        const chosen = it.options?.find((option) => option.value === value);
        return (
          <FormField key={it.id} label={it.label} description={it.what}>
            {it.options === undefined ? (
              <Input
                autoFocus={index === 0}
                autoComplete={false}
                type={it.kind ?? 'text'}
                step="any"
                value={value}
                onChange={({ detail }) => put(it.id, detail.value)}
              />
            ) : (
              <Select
                selectedOption={chosen ?? null}
                options={it.options}
                onChange={({ detail }) => put(it.id, detail.selectedOption.value ?? '')}
              />
            )}
          </FormField>
        );
      })}
    </Dialog>
  );
}
