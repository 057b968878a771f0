// Refuses a file that is too large before it is sent, whatever the server's limit, and names the slider.
function hashlibSearchPage(mostBytes) {
  if (window.hashlibMostBytes !== undefined) return;  // the cell was run before
  window.hashlibMostBytes = mostBytes;
  const alert = text => document.querySelectorAll('.hnb-too-large').forEach(each => { each.textContent = text; });
  let ours = false;
  document.addEventListener('click', event => {
    alert('');
    ours = Boolean(event.target.closest && event.target.closest('.hnb-upload'));
  }, true);
  const check = event => {
    const file = event.target.files[0];
    if (!file || file.size <= window.hashlibMostBytes) return;
    event.stopImmediatePropagation();
    alert(`${file.name} was refused: the file has ${(file.size / 1e6).toFixed(1)} MB; ` +
          `give a picture of at most ${window.hashlibMostBytes / 1e6} MB`);
  };
  const watched = new WeakSet();
  const click = HTMLInputElement.prototype.click;
  HTMLInputElement.prototype.click = function () {  // the widget's file input is in no document, so it is caught here
    if (ours && this.type === 'file' && !watched.has(this)) {
      watched.add(this);
      this.addEventListener('change', check, true);
    }
    return click.call(this);
  };
  document.addEventListener('focusin', event => {  // the slider's handle has no name of its own
    const slider = event.target.closest && event.target.closest('.hnb .widget-slider');
    if (slider) event.target.setAttribute('aria-label', slider.querySelector('label').textContent);
  });
}
