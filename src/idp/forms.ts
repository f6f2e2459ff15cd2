/** A form as a browser finds it in a page. */
export interface HtmlForm {
  /** As written; `undefined`: the page's own address. */
  readonly action: string | undefined;
  /** The fields that are filled in already, hidden ones and texts. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly buttons: readonly HtmlButton[];
}

export interface HtmlButton {
  readonly name: string | undefined;
  readonly value: string;
}

/** The forms of our own pages: enough of HTML for `form`, `input` and `button` with quoted attributes. */
export function parseForms(html: string): HtmlForm[] {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(
    ([, attributes = '', content = '']) => ({
      action: attributesOf(attributes).get('action'),
      fields: [...content.matchAll(/<input\b([^>]*)>/g)].flatMap(([, text = '']) => {
        const input = attributesOf(text);
        const name = input.get('name');
        return name ? [[name, input.get('value') ?? ''] as const] : [];
      }),
      buttons: [...content.matchAll(/<button\b([^>]*)>/g)].map(([, text = '']) => {
        const button = attributesOf(text);
        return { name: button.get('name'), value: button.get('value') ?? '' };
      }),
    }),
  );
}

/** The text of the page's first heading. */
export function headingOf(html: string): string {
  const [, content = ''] = /<h1\b[^>]*>([\s\S]*?)<\/h1>/.exec(html) ?? [];
  return unescapeHtml(content.replace(/<[^>]*>/g, '')).trim();
}

function attributesOf(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescapeHtml(value)]),
  );
}

function unescapeHtml(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
}
