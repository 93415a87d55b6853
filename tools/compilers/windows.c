// Compiles HLSL files with Microsoft's own libraries, as wgpu does on Windows: windows.exe fxc|dxc LIBRARY LIST, where a line of LIST
// is FILE ENTRY. Prints a line per file: ok or FAIL, the file, milliseconds, what was wrong; the first line is the library's version.
// Source of the calls: wgpu-hal 30, dx12/shader_compilation.rs.
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ID3DBlob, and what DXC's blobs have of it.
typedef struct Blob {
    struct {
        HRESULT(WINAPI *query)(struct Blob *, const GUID *, void **);
        ULONG(WINAPI *add)(struct Blob *);
        ULONG(WINAPI *release)(struct Blob *);
        void *(WINAPI *data)(struct Blob *);
        SIZE_T(WINAPI *size)(struct Blob *);
    } *calls;
} Blob;

typedef struct Result {
    struct {
        HRESULT(WINAPI *query)(struct Result *, const GUID *, void **);
        ULONG(WINAPI *add)(struct Result *);
        ULONG(WINAPI *release)(struct Result *);
        HRESULT(WINAPI *status)(struct Result *, HRESULT *);
        HRESULT(WINAPI *code)(struct Result *, Blob **);
        HRESULT(WINAPI *errors)(struct Result *, Blob **);
    } *calls;
} Result;

typedef struct { const void *data; SIZE_T size; UINT encoding; } Buffer;

typedef struct Compiler {
    struct {
        HRESULT(WINAPI *query)(struct Compiler *, const GUID *, void **);
        ULONG(WINAPI *add)(struct Compiler *);
        ULONG(WINAPI *release)(struct Compiler *);
        // Of IDxcCompiler3; IDxcVersionInfo has `version` in its place.
        union {
            HRESULT(WINAPI *compile)(struct Compiler *, const Buffer *, const wchar_t **, UINT, void *, const GUID *, void **);
            HRESULT(WINAPI *version)(struct Compiler *, UINT *, UINT *);
        };
    } *calls;
} Compiler;

typedef HRESULT(WINAPI *Fxc)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *, UINT, UINT, Blob **, Blob **);
typedef HRESULT(WINAPI *Create)(const GUID *, const GUID *, void **);

static const GUID COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID VERSION = {0xb04f5b50, 0x2059, 0x4f12, {0xa8, 0xff, 0xa1, 0xe0, 0xcd, 0xe1, 0xcc, 0x7e}};
static const GUID RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};
enum { STRICTNESS = 1 << 11, UTF8 = 65001 };

static Fxc fxc;
static Compiler *dxc;
static wchar_t target[16];

static char *read(const char *name, SIZE_T *size) {
    FILE *file = fopen(name, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *text = malloc(*size + 1);
    *size = fread(text, 1, *size, file);
    text[*size] = 0;
    fclose(file);
    return text;
}

// What is wrong in one line, without tabs.
static void told(Blob *errors) {
    SIZE_T size = errors ? errors->calls->size(errors) : 0;
    const char *text = size ? errors->calls->data(errors) : "";
    for (SIZE_T i = 0; i < size && i < 1500 && text[i]; i++) putchar(strchr("\t\r\n", text[i]) ? ' ' : text[i]);
}

static int empty(Blob *blob) {
    SIZE_T size = blob ? blob->calls->size(blob) : 0;
    return size == 0 || (size == 1 && !*(char *)blob->calls->data(blob));
}

static void compile(const char *name, const char *entry) {
    SIZE_T size;
    char *text = read(name, &size);
    if (!text) {
        printf("FAIL\t%s\t0\tcannot be opened\n", name);
        return;
    }
    Blob *code = NULL, *errors = NULL;
    HRESULT status = 0;
    DWORD start = GetTickCount();
    if (fxc) {
        status = fxc(text, size, name, NULL, NULL, entry, "cs_5_1", STRICTNESS, 0, &code, &errors);
    } else {
        wchar_t wide_name[512], wide_entry[128];
        mbstowcs(wide_name, name, 512);
        mbstowcs(wide_entry, entry, 128);
        const wchar_t *words[] = {wide_name, L"-E", wide_entry, L"-T", target, L"-HV", L"2018", L"-no-warnings", L"-Ges"};
        Buffer buffer = {text, size, UTF8};
        Result *result = NULL;
        status = dxc->calls->compile(dxc, &buffer, words, sizeof words / sizeof *words, NULL, &RESULT, (void **)&result);
        if (status >= 0) {
            result->calls->status(result, &status);
            result->calls->errors(result, &errors);
            result->calls->code(result, &code);
            // wgpu takes whatever is in the buffer of errors for a failure.
            if (!empty(errors)) status = E_FAIL;
        }
    }
    int good = status >= 0 && !empty(code);
    printf("%s\t%s\t%lu\t", good ? "ok" : "FAIL", name, GetTickCount() - start);
    if (!good) told(errors);
    printf("\n");
    fflush(stdout);
    free(text);
}

int main(int count, char **words) {
    if (count != 4) return 64;
    HMODULE library = LoadLibraryA(words[2]);
    if (!library) {
        printf("%s does not load: %lu\n", words[2], GetLastError());
        return 1;
    }
    if (!strcmp(words[1], "fxc")) {
        fxc = (Fxc)(void *)GetProcAddress(library, "D3DCompile");
        char path[MAX_PATH];
        GetModuleFileNameA(library, path, MAX_PATH);
        printf("version\t%s\n", path);
    } else {
        Create create = (Create)(void *)GetProcAddress(library, "DxcCreateInstance");
        Compiler *info = NULL;
        UINT major = 1, minor = 0;
        if (create(&COMPILER, &COMPILER3, (void **)&dxc) < 0) return 1;
        if (dxc->calls->query(dxc, &VERSION, (void **)&info) >= 0) info->calls->version(info, &major, &minor);
        swprintf(target, 16, L"cs_6_%u", major > 1 || minor > 9 ? 9 : minor);
        printf("version\t%u.%u\n", major, minor);
    }
    fflush(stdout);
    FILE *list = fopen(words[3], "r");
    char name[512], entry[128];
    while (list && fscanf(list, "%511s %127s", name, entry) == 2) compile(name, entry);
    printf("end\n");
    return 0;
}
